"""Maxout network (Goodfellow et al. 2013) written with plain parameters."""
import os, math, random
import numpy as np
import torch
from torch.nn import Module, Parameter
from torch.nn.functional import nll_loss, log_softmax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Affine(Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.W = Parameter(torch.ones(n_in, n_out) / math.sqrt(n_in))
        self.c = Parameter(torch.zeros(n_out))

    def forward(self, x):
        return x @ self.W + self.c


class Maxout(Module):
    def __init__(self, n_in, n_out, pieces=2):
        super().__init__()
        self.pieces = pieces
        self.lin = Affine(n_in, n_out * pieces)

    def forward(self, x):
        return self.lin(x).view(len(x), -1, self.pieces).amax(-1)


class Net(Module):
    def __init__(self):
        super().__init__()
        self.hidden = Maxout(64, 40)
        self.top = Affine(40, 10)

    def forward(self, x):
        return log_softmax(self.top(self.hidden(x)), 1)


def run(seed, epochs=25, lr=0.01, batch=32):
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    data = load_digits()
    a, b, ya, yb = train_test_split(data.data, data.target, test_size=600, stratify=data.target, random_state=seed)
    mu, sd = a.mean(0), a.std(0) + 1e-1
    a = torch.tensor((a - mu) / sd).float().clamp(-4, 4)
    b = torch.tensor((b - mu) / sd).float().clamp(-4, 4)
    ya, yb = torch.tensor(ya), torch.tensor(yb)

    net = Net()
    sgd = torch.optim.SGD(net.parameters(), lr=lr, momentum=.9, nesterov=True, weight_decay=1e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, epochs)
    for epoch in range(epochs):
        perm = torch.randperm(len(a))
        seen = 0.
        for j in range(0, len(a), batch):
            r = perm[j:j + batch]
            loss = nll_loss(net(a[r]), ya[r])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            seen += loss.item() * len(r)
        decay.step()
        if (epoch + 1) % 5 == 0:
            with torch.no_grad():
                print(epoch + 1, f"nll {seen / len(a):.4f}", f"held-out {float((net(b).argmax(1) == yb).float().mean()):.4f}")


if __name__ == "__main__":
    run(int(os.environ.get("SEED", 0)))
