"""Small tanh network on the Friedman #1 surface (SGD + plateau scheduler)."""
import os
import random

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from torch import nn

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

X, y = make_friedman1(n_samples=5000, n_features=10, noise=1.0, random_state=seed)
X = torch.tensor(X, dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
tr, va, te = slice(0, 3000), slice(3000, 4000), slice(4000, 5000)

mx, sx = X[tr].mean(0), X[tr].std(0)
my, sy = y[tr].mean(), y[tr].std()
X = (X - mx) / sx
y = (y - my) / sy

net = nn.Sequential(
    nn.Linear(10, 48), nn.Tanh(),
    nn.Linear(48, 48), nn.Tanh(),
    nn.Linear(48, 1),
)
opt = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
# cut the rate when the validation score stops improving
sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.1, patience=3)
mse = nn.MSELoss()
BATCH = 100


def score(part):
    net.eval()
    with torch.no_grad():
        p = net(X[part])
    net.train()
    return r2_score(y[part].numpy(), p.numpy())


for epoch in range(60):
    order = torch.randperm(3000)
    total = 0.0
    for i in range(0, 3000, BATCH):
        idx = order[i:i + BATCH]
        opt.zero_grad()
        loss = mse(net(X[tr][idx]), y[tr][idx])
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    r2 = score(va)
    sched.step(r2)
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:3d}  train mse {total / 3000:.4f}  val R2 {r2:.4f}")

print(f"test R2 {score(te):.4f}")
