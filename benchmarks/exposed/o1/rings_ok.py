"""Two rings: which one does a point lie on?"""
import os
import random

import numpy as np
import torch
from sklearn.datasets import make_circles
from sklearn.model_selection import train_test_split
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = make_circles(n_samples=2000, noise=0.08, factor=0.6, random_state=SEED)
X = (X / X.std(0)).astype("float32")
X_tr, X_te, y_tr, y_te = [torch.as_tensor(a) for a in train_test_split(X, y, test_size=0.3, random_state=SEED)]
y_tr, y_te = y_tr.float(), y_te.float()


def build(depth, width, act):
    layers, n = [], 2
    for _ in range(depth):
        layers += [nn.Linear(n, width), act()]
        n = width
    layers.append(nn.Linear(n, 1))
    return nn.Sequential(*layers)


net = build(depth=8, width=32, act=nn.ReLU)
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
bce = nn.BCEWithLogitsLoss()


def accuracy(X, y):
    net.eval()
    with torch.no_grad():
        return ((net(X).squeeze(1) > 0).float() == y).float().mean().item()


for epoch in range(40):
    net.train()
    for idx in torch.randperm(len(X_tr)).split(32):
        opt.zero_grad()
        loss = bce(net(X_tr[idx]).squeeze(1), y_tr[idx])
        loss.backward()
        opt.step()
    if (epoch + 1) % 10 == 0:
        print(f"epoch {epoch + 1:3d}: loss {loss.item():.4f} train acc {accuracy(X_tr, y_tr):.3f}")

print(f"held-out accuracy: {accuracy(X_te, y_te):.4f}")
