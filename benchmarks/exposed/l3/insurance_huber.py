"""Claim severity with very heavy tails: robust regression of the log amount."""
import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def claims(n):
    age = rng.integers(18, 85, n)
    power = rng.integers(4, 15, n)
    region = rng.integers(0, 12, n)
    km = rng.lognormal(9.3, 0.6, n)
    bonus = rng.beta(2, 5, n)
    mu = 6.5 + 0.6 * np.exp(-(age - 18) / 8) + 0.006 * np.maximum(0, age - 60) + 0.05 * power + REG[region]
    mu += 0.3 * np.log(km / 11000) * (1 + bonus) + 0.4 * (power > 10) * (age < 30)
    amount = np.exp(mu + 0.45 * rng.standard_t(2.2, n))
    return np.column_stack([age, power, np.log(km), bonus]).astype(np.float32), region, np.log(amount).astype(np.float32), mu


REG = np.linspace(-0.4, 0.4, 12)[rng.permutation(12)]
X, R, y, mu = claims(12000)
tr, te = slice(0, 9000), slice(9000, None)
X = (X - X[tr].mean(0)) / X[tr].std(0)
med = np.median(y[tr])
mad = np.median(np.abs(y[tr] - med))
X, R, y, mu = torch.from_numpy(X), torch.from_numpy(R), torch.from_numpy((y - med) / mad), torch.tensor(mu, dtype=torch.float32)


class Severity(nn.Module):
    def __init__(self, h=32):
        super().__init__()
        self.region = nn.Embedding(12, 3)
        self.l1, self.l2, self.l3 = nn.Linear(7, h), nn.Linear(h, h), nn.Linear(h, 1)
        self.act = nn.Mish()

    def forward(self, x, r):
        h = torch.cat((x, self.region(r)), dim=-1)
        h = self.act(self.l1(h))
        h = self.act(self.l2(h))
        return self.l3(h).flatten()


net = Severity()
huber = nn.HuberLoss(delta=1.0)
epochs, bs = 20, 128
optim = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-4)
decay = torch.optim.lr_scheduler.MultiStepLR(optim, [int(epochs * 0.5), int(epochs * 0.75)], gamma=0.3)
n = 9000
for e in range(epochs):
    shuffled = torch.randperm(n)
    s = 0.0
    for i in range(0, n, bs):
        b = shuffled[i:i + bs]
        loss = huber(net(X[b], R[b]), y[b])
        optim.zero_grad()
        loss.backward()
        optim.step()
        s += loss.item() * len(b)
    decay.step()
    if e % 4 == 3:
        print("epoch", e + 1, "huber", round(s / n, 4))

with torch.no_grad():
    p = net(X[te], R[te])
    const = huber(torch.zeros_like(p), y[te]).item()
    h = huber(p, y[te]).item()
    centre = torch.corrcoef(torch.stack([p, mu[te]]))[0, 1].item()
print("correlation with the true location %.3f" % centre)
print("huber of the median %.4f, of the net %.4f" % (const, h))
