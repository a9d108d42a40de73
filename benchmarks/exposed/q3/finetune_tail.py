# Pretrain on digits 0-5, keep the first two conv layers frozen, adapt to digits 6-9 with 25 labelled images each.
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
X = torch.tensor(X / 16.0 - 0.3, dtype=torch.float32).view(-1, 1, 8, 8)
y = torch.tensor(y)


class SmallCNN(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.block = nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(64 * 4, classes)

    def forward(self, x):
        return self.head(self.block(self.stem(x)))


def fit(model, x, y, params, lr, epochs, batch):
    opt = torch.optim.Adam(params, lr=lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    for epoch in range(epochs):
        model.train()
        for j in torch.randperm(len(x)).split(batch):
            loss = F.cross_entropy(model(x[j]), y[j])
            opt.zero_grad()
            loss.backward()
            opt.step()
        sched.step()
        if epoch % 20 == 19:
            print(f"  epoch {epoch + 1} loss {loss.item():.4f}")


@torch.no_grad()
def accuracy(model, x, y):
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()


src = torch.nonzero(y < 6).squeeze(1)
src = src[torch.randperm(len(src))]
model = SmallCNN(6)
print("source task")
fit(model, X[src[200:]], y[src[200:]], model.parameters(), 2e-3, 40, 64)
print(f"source held-out accuracy {accuracy(model, X[src[:200]], y[src[:200]]):.4f}")

few, rest = [], []
for c in (6, 7, 8, 9):
    rows = torch.nonzero(y == c).squeeze(1)
    rows = rows[torch.randperm(len(rows))]
    few.append(rows[:25])
    rest.append(rows[25:])
few, rest = torch.cat(few), torch.cat(rest)

for p in model.stem.parameters():
    p.requires_grad = False
model.head = nn.Linear(64 * 4, 4)
groups = [{"params": model.block.parameters(), "lr": 1e-3}, {"params": model.head.parameters(), "lr": 3e-3}]
print("target task")
fit(model, X[few], y[few] - 6, groups, 1e-3, 100, 20)
print(f"target accuracy on the other images {accuracy(model, X[rest], y[rest] - 6):.4f}")
