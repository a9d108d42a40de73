import gzip
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(split, n):
    with gzip.open(f"{ROOT}/{split}-images-idx3-ubyte.gz") as f:
        img = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:n]
    with gzip.open(f"{ROOT}/{split}-labels-idx1-ubyte.gz") as f:
        lab = np.frombuffer(f.read(), np.uint8, offset=8)[:n]
    return torch.tensor((img / 255. - 0.286) / 0.353, dtype=torch.float32), torch.tensor(lab.astype(np.int64))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 12, 5, padding=2)
        self.c2 = nn.Conv2d(12, 24, 3, padding=1)
        self.f1 = nn.Linear(24 * 7 * 7, 80)
        self.f2 = nn.Linear(80, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return self.f2(F.relu(self.f1(x.flatten(1))))


def evaluate(model, loader):
    model.eval()
    n = ok = 0
    with torch.no_grad():
        for x, y in loader:
            ok += (model(x).argmax(1) == y).sum().item()
            n += len(y)
    return ok / n


x, y = load("train", 7000)
train_loader = DataLoader(TensorDataset(x[:5500], y[:5500]), batch_size=64, shuffle=True)
val_loader = DataLoader(TensorDataset(x[5500:], y[5500:]), batch_size=500)
test_loader = DataLoader(TensorDataset(*load("t10k", 3000)), batch_size=500)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
scheduler = ReduceLROnPlateau(optimizer, factor=0.1, patience=0)

for epoch in range(10):
    model.train()
    losses = []
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    acc = evaluate(model, val_loader)
    scheduler.step(acc)
    print(f"[{epoch + 1}/10] loss={np.mean(losses):.3f} val_acc={acc:.4f}")

print(f"test accuracy {evaluate(model, test_loader):.4f}")
