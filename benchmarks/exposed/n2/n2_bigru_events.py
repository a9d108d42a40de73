"""Classify event logs (variable order of symbols) with a bidirectional GRU."""
import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

VOCAB, T, N = 20, 24, 3600


def make_logs(n):
    x = np.random.randint(4, VOCAB, size=(n, T))
    y = np.random.randint(0, 3, size=n)
    for i in range(n):
        a, b = sorted(np.random.choice(T, 2, replace=False))
        if y[i] == 0:
            x[i, a], x[i, b] = 1, 2
        elif y[i] == 1:
            x[i, a], x[i, b] = 2, 1
        else:
            x[i, a], x[i, b] = (1, 1) if np.random.rand() < .5 else (2, 2)
    return torch.as_tensor(x), torch.as_tensor(y)


class LogNet(nn.Module):
    def __init__(self, emb=24, hid=32):
        super().__init__()
        self.hid = hid
        self.emb = nn.Embedding(VOCAB, emb)
        self.gru = nn.GRU(emb, hid, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(2 * hid, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, x):
        _, h = self.gru(self.emb(x))          # h: 2 x batch x hid
        h = h.view(x.size(0), 2 * self.hid)
        return self.out(h)


x, y = make_logs(N)
n_tr = 2800
train = DataLoader(TensorDataset(x[:n_tr], y[:n_tr]), batch_size=50, shuffle=True)
valid = DataLoader(TensorDataset(x[n_tr:], y[n_tr:]), batch_size=50)

model = LogNet()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
crit = nn.CrossEntropyLoss()

for epoch in range(15):
    model.train()
    tot = 0.
    for xb, yb in train:
        opt.zero_grad()
        loss = crit(model(xb), yb)
        loss.backward()
        opt.step()
        tot += loss.item() * len(xb)
    model.eval()
    hit = 0
    with torch.no_grad():
        for xb, yb in valid:
            hit += (model(xb).argmax(1) == yb).sum().item()
    print(f"epoch {epoch:2d}  train loss {tot / n_tr:.4f}  valid acc {hit / (N - n_tr):.4f}")
