# Which token followed the marker?  Stacked recurrent layers over token sequences.
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

options = dict(seed=int(os.environ.get("SEED", 0)), n_layers=2, n_hid=40, n_emb=16, vocab=10, length=14,
               n_train=2500, n_test=1000, batch=50, epochs=25, lr=5e-3)
random.seed(options["seed"])
np.random.seed(options["seed"])
torch.manual_seed(options["seed"])
MARK = 0


def make_data(n, vocab, length):
    x = np.random.randint(1, vocab, size=(n, length))
    pos = np.random.randint(0, length - 1, size=n)
    x[np.arange(n), pos] = MARK
    y = x[np.arange(n), pos + 1] - 1
    return torch.tensor(x), torch.tensor(y)


class StackedRNN(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.emb = nn.Embedding(options["vocab"], options["n_emb"])
        self.hids = []
        indim = options["n_emb"]
        for li in range(options["n_layers"]):
            self.hids.append(nn.GRU(indim, options["n_hid"], batch_first=True))
            indim = options["n_hid"]
        self.classifier = nn.Linear(indim, options["vocab"] - 1)

    def forward(self, x):
        h = self.emb(x)
        for rnn in self.hids:
            h, last = rnn(h)
        return self.classifier(last[-1])


xtr, ytr = make_data(options["n_train"], options["vocab"], options["length"])
xte, yte = make_data(options["n_test"], options["vocab"], options["length"])
model = StackedRNN(options)
optimizer = torch.optim.Adam(model.parameters(), lr=options["lr"])

for epoch in range(options["epochs"]):
    model.train()
    perm = torch.randperm(len(xtr))
    total = 0.0
    for i in range(0, len(xtr), options["batch"]):
        b = perm[i:i + options["batch"]]
        loss = F.cross_entropy(model(xtr[b]), ytr[b])
        model.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(b)
    if epoch % 5 == 4:
        print("epoch %d, cost %.4f" % (epoch + 1, total / len(xtr)))

model.eval()
with torch.no_grad():
    acc = (model(xte).argmax(1) == yte).float().mean().item()
print("test accuracy %.4f" % acc)
