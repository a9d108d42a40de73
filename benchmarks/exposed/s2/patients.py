"""Repeated measures: population curve (a small net) plus an intercept and a slope per patient."""
import os
import random

import numpy as np
import torch

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

# ---- simulated trial: 200 patients, 16 visits each
P, V = 200, 16
rng = np.random.default_rng(seed)
who = np.repeat(np.arange(P), V)
month = rng.uniform(0, 24, P * V)
dose = rng.choice([0.0, 0.5, 1.0, 2.0], P)[who]
t = (month - 12) / 7
intercept = rng.normal(0, 6, P)[who]
slope = rng.normal(0, 2.5, P)[who]
y = 50 - 8 * dose / (dose + 0.7) * (1 - np.exp(-month / 6)) + 2 * np.sin(month / 4) + intercept + slope * t + rng.normal(0, 1.5, P * V)

held = np.zeros(P * V, bool)
for i in range(P):  # the held-out visits of each patient
    held[rng.choice(np.flatnonzero(who == i), 4, replace=False)] = True
mu, sd = y[~held].mean(), y[~held].std()

X = torch.tensor(np.column_stack([t, dose - 0.9]), dtype=torch.float32)
G = torch.tensor(who)
Y = torch.tensor((y - mu) / sd, dtype=torch.float32)
tr, te = torch.from_numpy(np.flatnonzero(~held)), torch.from_numpy(np.flatnonzero(held))


class MixedModel(torch.nn.Module):
    def __init__(self, n_patients):
        super().__init__()
        self.fixed = torch.nn.Sequential(
            torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)
        )
        # start near zero, they are deviations from the population
        start = torch.from_numpy(np.random.normal(0, 0.05, (n_patients, 2)))
        self.effects = torch.nn.Parameter(start).float()

    def forward(self, x, g):
        b = self.effects[g]
        return self.fixed(x).squeeze(-1) + b[:, 0] + b[:, 1] * x[:, 0]

    def shrinkage(self):
        return self.effects.pow(2).sum()


model = MixedModel(P)
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 60)
for epoch in range(60):
    running = 0.0
    for idx in tr[torch.randperm(len(tr))].split(128):
        opt.zero_grad()
        fit = torch.nn.functional.mse_loss(model(X[idx], G[idx]), Y[idx])
        (fit + 5e-5 * model.shrinkage()).backward()
        opt.step()
        running += fit.item() * len(idx)
    sched.step()
    if (epoch + 1) % 10 == 0:
        with torch.no_grad():
            err = (model(X[te], G[te]) - Y[te]).pow(2).mean()
            r2 = 1 - err / Y[te].var()
        print(f"epoch {epoch + 1:3d}  mse {running / len(tr):.4f}  held-out R2 {r2:.4f}")
