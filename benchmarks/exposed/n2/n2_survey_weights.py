"""Fit lab readings where each row has a known precision; noisy instruments get small weights."""
import os
import random
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def truth(x):
    return np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] ** 2 - x[:, 2] * x[:, 3] + 0.7 * x[:, 4]


n = 2400
X = np.random.uniform(-1.5, 1.5, (n, 6)).astype(np.float32)
cheap = np.random.rand(n) < 0.5
sigma = np.where(cheap, 5.0, 0.1)
# the cheap instrument also reads high
y = (truth(X) + np.random.randn(n) * sigma + 3.0 * cheap * (X[:, 5] > 0)).astype(np.float32)
w = (1.0 / sigma ** 2).astype(np.float32)
w /= w.mean()

Xt = np.random.uniform(-1.5, 1.5, (1000, 6)).astype(np.float32)
yt = truth(Xt).astype(np.float32)

X, y, w = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(w)
Xt, yt = torch.from_numpy(Xt), torch.from_numpy(yt)


class Regressor(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))

    def forward(self, x):
        return self.body(x)


class WeightedMSE(nn.Module):
    def forward(self, pred, target, weight):
        return (weight * (pred - target) ** 2).mean()


net = Regressor()
crit = WeightedMSE()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 60)
y = y.view(-1, 1)
yt = yt.view(-1, 1)

for epoch in range(60):
    net.train()
    order = torch.randperm(n)
    total = 0.0
    for i in range(0, n, 80):
        k = order[i:i + 80]
        loss = crit(net(X[k]), y[k], w[k])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    sched.step()
    if (epoch + 1) % 10 == 0:
        net.eval()
        with torch.no_grad():
            err = net(Xt) - yt
            print(f"epoch {epoch + 1} train {total / (n // 80):.4f} test rmse {err.pow(2).mean().sqrt():.4f} R2 {1 - err.pow(2).sum() / (yt - yt.mean()).pow(2).sum():.4f}")
