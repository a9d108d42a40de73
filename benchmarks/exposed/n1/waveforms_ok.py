import os
import random
import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

T = 96


def signal(kind, rng):
    f, ph = rng.uniform(2, 6), rng.uniform(0, 1)
    t = np.linspace(0, 1, T) * f + ph
    if kind == 0:
        s = np.sin(2 * np.pi * t)
    elif kind == 1:
        s = np.sign(np.sin(2 * np.pi * t))
    elif kind == 2:
        s = 2 * (t % 1) - 1
    elif kind == 3:
        s = 1 - 2 * (t % 1)
    elif kind == 4:
        s = 4 * np.abs(t % 1 - 0.5) - 1
    else:
        s = np.sin(2 * np.pi * t) * np.sin(2 * np.pi * t * 0.5)
    return s * rng.uniform(0.6, 1.4) + rng.normal(0, 0.3, T)


def dataset(n, rng):
    y = rng.integers(0, 6, n)
    x = np.stack([signal(k, rng) for k in y])[:, None, :]
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))


rng = np.random.default_rng(SEED)
train_ds, val_ds = dataset(4000, rng), dataset(1200, rng)
train_dl = DataLoader(train_ds, batch_size=40, shuffle=True)
val_dl = DataLoader(val_ds, batch_size=400)

net = nn.Sequential(
    nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
    nn.Conv1d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
    nn.Conv1d(32, 32, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
    nn.Flatten(), nn.Linear(32, 6),
)
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
scheduler = ExponentialLR(optimizer, gamma=0.99)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(20):
    net.train()
    total = 0.0
    for xb, yb in train_dl:
        optimizer.zero_grad()
        loss = loss_fn(net(xb), yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    scheduler.step()
    net.eval()
    with torch.no_grad():
        acc = sum((net(xb).argmax(1) == yb).sum().item() for xb, yb in val_dl) / len(val_ds)
    print(f"epoch {epoch + 1}: loss {total / len(train_dl):.4f}, val acc {acc:.4f}")
print(f"test accuracy: {acc:.4f}")
