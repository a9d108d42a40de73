"""Response surface from two instruments.

A quarter of the runs come from the reference bench (sd 0.15), the others from
the field kit (sd between 2 and 4). The sd of each run is known, so every run is
weighted by 1/sd^2. Held-out runs are all from the reference bench.
"""
import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)


def surface(u):
    z = (10 * np.sin(np.pi * u[:, 0] * u[:, 1]) + 20 * (u[:, 2] - .5) ** 2
         + 10 * u[:, 3] + 5 * u[:, 4])
    return (z - 14.4) / 4.9


rng = np.random.default_rng(seed)
n = 3200
u = rng.uniform(size=(n, 8))
sd = np.where(rng.uniform(size=n) < .25, .15, rng.uniform(2, 4, size=n))
y = surface(u) + sd * rng.normal(size=n)
u_test = rng.uniform(size=(1500, 8))
y_test = surface(u_test) + .15 * rng.normal(size=1500)


def col(a):
    return torch.tensor(a, dtype=torch.float32).reshape(-1, 1)


def prep(a):
    return torch.tensor((a - .5) * np.sqrt(12), dtype=torch.float32)


w = 1 / sd ** 2
w = w / w.mean()
train = DataLoader(TensorDataset(prep(u), torch.tensor(y, dtype=torch.float32), col(w)),
                   batch_size=128, shuffle=True)


class Surface(nn.Module):
    def __init__(self, n_in, width=48):
        super().__init__()
        self.a = nn.Linear(n_in, width)
        self.b = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        h = torch.tanh(self.b(h))
        return self.out(h).squeeze(1)


model = Surface(8)
opt = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
epochs = 60
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)

for ep in range(epochs):
    model.train()
    tot = 0.
    for xb, yb, wb in train:
        err = (model(xb) - yb) ** 2
        loss = (wb.squeeze(1) * err).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(xb)
    sched.step()
    if ep % 15 == 14:
        print(f"epoch {ep + 1:3d}  weighted mse {tot / n:.4f}")

model.eval()
with torch.no_grad():
    p = model(prep(u_test)).numpy()
r2 = 1 - ((p - y_test) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()
print(f"held-out R2 {r2:.4f}")
