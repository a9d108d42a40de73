"""1-d convnet on single heart beats (five rhythm types), evaluated with averaged weights."""
import copy
import os
import random

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def beat(kind, rng, n=160):
    t = np.linspace(-1, 1, n)
    w = 1 + 0.1 * rng.randn()
    x = np.zeros(n)
    if kind != 3:
        x += 0.18 * np.exp(-((t + 0.45) / 0.09) ** 2)                # P
    qrs = 0.055 if kind not in (1, 2) else 0.11
    amp = 1.0 + 0.15 * rng.randn()
    x += amp * np.exp(-(t / (qrs * w)) ** 2)
    x -= 0.25 * amp * np.exp(-((t - 0.13) / 0.05) ** 2)
    if kind == 2:
        x += 0.55 * amp * np.exp(-((t - 0.16) / (qrs * w)) ** 2)     # notched
    tw = -0.3 if kind == 4 else 0.3
    x += (tw + 0.06 * rng.randn()) * np.exp(-((t - 0.5) / 0.16) ** 2)
    x += 0.2 * np.sin(2 * np.pi * (0.4 * t + rng.rand())) + 0.08 * rng.randn(n)
    return np.roll(x, rng.randint(-12, 13))


class Beats(Dataset):
    def __init__(self, n, seed):
        rng = np.random.RandomState(seed)
        self.y = rng.randint(0, 5, n)
        self.x = np.stack([beat(k, rng) for k in self.y]).astype("float32")
        self.x = (self.x - self.x.mean(1, keepdims=True)) / self.x.std(1, keepdims=True)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return torch.from_numpy(self.x[i])[None], int(self.y[i])


def block(cin, cout):
    return nn.Sequential(nn.Conv1d(cin, cout, 7, padding=3, bias=False), nn.BatchNorm1d(cout), nn.ReLU(), nn.MaxPool1d(2))


class BeatNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(block(1, 16), block(16, 32), block(32, 32))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(self.features(x).mean(-1))


class ModelEMA:
    def __init__(self, model, decay=0.98):
        self.module = copy.deepcopy(model).eval()
        self.decay = decay
        for p in self.module.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for e, p in zip(self.module.parameters(), model.parameters()):
            e.mul_(self.decay).add_(p, alpha=1 - self.decay)


@torch.no_grad()
def accuracy(net, loader):
    hit = tot = 0
    for x, y in loader:
        hit += (net(x).argmax(1) == y).sum().item()
        tot += len(y)
    return hit / tot


train = DataLoader(Beats(2000, SEED + 1), batch_size=64, shuffle=True)
valid = DataLoader(Beats(1000, SEED + 5001), batch_size=256)

model = BeatNet()
ema = ModelEMA(model)
opt = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=4e-3, total_steps=14 * len(train))
crit = nn.CrossEntropyLoss()

for epoch in range(14):
    model.train()
    run = 0.0
    for x, y in train:
        loss = crit(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        ema.update(model)
        run += loss.item()
    print(f"epoch {epoch:2d}  loss {run / len(train):.4f}  val acc {accuracy(ema.module, valid):.4f}")
