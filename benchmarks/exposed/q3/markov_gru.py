# Character model on a random second-order source whose entropy rate is known.
import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

V = 8
P = rng.dirichlet(np.full(V, 0.35), size=(V, V))
P = 0.98 * P + 0.02 / V


def generate(n):
    s = [0, 1]
    u = rng.random(n)
    cum = P.cumsum(-1)
    for i in range(n):
        s.append(min(V - 1, int(np.searchsorted(cum[s[-2], s[-1]], u[i]))))
    return np.array(s)


def source_nats(s):
    return -np.log(P[s[:-2], s[1:-1], s[2:]]).mean()


train_text, test_text = generate(80000), generate(16000)
T = 40


def windows(s):
    n = (len(s) - 1) // T
    return (torch.tensor(s[:n * T]).view(n, T), torch.tensor(s[1:n * T + 1]).view(n, T))


class CharGRU(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.emb = nn.Embedding(V, 16)
        self.rnn = nn.GRU(16, hidden, batch_first=True)
        self.out = nn.Linear(hidden, V)

    def forward(self, x):
        h, _ = self.rnn(self.emb(x))
        return self.out(h)


model = CharGRU()
opt = torch.optim.Adam(model.parameters(), lr=6e-3)
ce = nn.CrossEntropyLoss()
x, y = windows(train_text)
epochs = 8
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=6e-3, total_steps=epochs * (-(-len(x) // 32)))
print(f"source entropy on the training text {source_nats(train_text):.4f} nats, uniform {np.log(V):.4f}")
for epoch in range(epochs):
    tot = 0.0
    for j in torch.randperm(len(x)).split(32):
        loss = ce(model(x[j]).flatten(0, 1), y[j].flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sched.step()
        tot += loss.item() * len(j)
    print(f"epoch {epoch + 1}: train {tot / len(x):.4f}")

xt, yt = windows(test_text)
with torch.no_grad():
    held = ce(model(xt).flatten(0, 1), yt.flatten()).item()
print(f"source entropy on the test text {source_nats(test_text):.4f}")
print(f"held-out cross entropy {held:.4f} nats")
