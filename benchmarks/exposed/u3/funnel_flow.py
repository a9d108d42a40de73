#!/usr/bin/env python
"""Density of a small sensor rig with a coupling flow; log-likelihood in the rig's own units (metres)."""
import argparse
import os
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ap = argparse.ArgumentParser()
ap.add_argument("--layers", type=int, default=6)
ap.add_argument("--hidden", type=int, default=32)
ap.add_argument("--epochs", type=int, default=20)
ap.add_argument("--lr", type=float, default=8e-3)
args = ap.parse_args()

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

UNIT = 0.02


def make(n):
    """x1 gaussian, the others bend and widen with it; returns points and their exact log density"""
    a = torch.randn(n, 1)
    mean = torch.cat([torch.sin(1.5 * a), .5 * a ** 2, -a], 1)
    logs = torch.cat([.8 * torch.tanh(a), -.6 * torch.ones_like(a), .5 * torch.sin(a) - 1], 1)
    e = torch.randn(n, 3)
    x = torch.cat([a, mean + e * logs.exp()], 1)
    gauss = lambda v: -.5 * v ** 2 - .5 * np.log(2 * np.pi)
    lp = gauss(a).sum(1) + (gauss(e) - logs).sum(1) - 4 * np.log(UNIT)
    return x * UNIT, lp


class Coupling(nn.Module):
    def __init__(self, dim, hidden, flip):
        super().__init__()
        self.flip, self.half = flip, dim // 2
        self.net = nn.Sequential(nn.Linear(self.half, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
                                 nn.Linear(hidden, 2 * (dim - self.half)))
        nn.init.zeros_(self.net[-1].weight)     # each layer starts as the identity
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        if self.flip:
            x = x.flip(1)
        a, b = x[:, :self.half], x[:, self.half:]
        s, t = self.net(a).chunk(2, 1)
        s = 2 * torch.tanh(s / 2)
        return torch.cat([a, b * s.exp() + t], 1)[:, [0, 2, 1, 3]], s.sum(1)


class Flow(nn.Module):
    def __init__(self, data):
        super().__init__()
        self.register_buffer("mu", data.mean(0))
        self.register_buffer("sd", data.std(0))
        self.steps = nn.ModuleList(Coupling(4, args.hidden, i % 2 == 1) for i in range(args.layers))

    def log_prob(self, x):
        z, ld = (x - self.mu) / self.sd, -self.sd.log().sum()
        for st in self.steps:
            z, d = st(z)
            ld = ld + d
        return (-.5 * z ** 2 - .5 * np.log(2 * np.pi)).sum(1) + ld


train, _ = make(10000)
held, exact = make(4000)
flow = Flow(train)
loader = DataLoader(TensorDataset(train), batch_size=250, shuffle=True)
opt = torch.optim.AdamW(flow.parameters(), lr=args.lr, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, args.epochs * len(loader))
for ep in range(args.epochs):
    total = 0.
    for (b,) in loader:
        loss = -flow.log_prob(b).mean()
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.)
        opt.step()
        sched.step()
        total += loss.item() * len(b)
    with torch.no_grad():
        print(f"epoch {ep + 1:2d}  train nll {total / len(train):.4f}  held-out nll {-flow.log_prob(held).mean():.4f}")
with torch.no_grad():
    print(f"exact density: {-exact.mean():.4f}; gap of the flow in nats: {(exact - flow.log_prob(held)).mean():.4f}")
