"""SimCLR-style pretraining on the digits (no labels), then a linear probe."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


def views(x):
    """one random view: small rotation, zoom and shift, contrast, noise"""
    n = len(x)
    theta = torch.zeros(n, 2, 3)
    ang = (torch.rand(n) - 0.5) * 0.5
    zoom = 1 + (torch.rand(n) - 0.5) * 0.3
    theta[:, 0, 0], theta[:, 0, 1] = zoom * ang.cos(), -zoom * ang.sin()
    theta[:, 1, 0], theta[:, 1, 1] = zoom * ang.sin(), zoom * ang.cos()
    theta[:, :, 2] = (torch.rand(n, 2) - 0.5) * 0.5
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    x = x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1))
    return x + 0.1 * torch.randn_like(x)


def nt_xent(a, b, tau):
    z = F.normalize(torch.cat([a, b]), dim=1)
    sim = z @ z.T / tau
    sim.fill_diagonal_(-1e9)
    n = len(a)
    target = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(sim, target)


X, y = load_digits(return_X_y=True)
X = torch.tensor(X / 16.0, dtype=torch.float32).view(-1, 1, 8, 8)
idx_tr, idx_te = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=SEED)

W = 32
encoder = nn.Sequential(
    nn.Conv2d(1, W, 3, padding=1), nn.BatchNorm2d(W), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(W, 2 * W, 3, padding=1), nn.BatchNorm2d(2 * W), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
projector = nn.Sequential(nn.Linear(8 * W, 64), nn.ReLU(), nn.Linear(64, 32))
params = list(encoder.parameters()) + list(projector.parameters())
EPOCHS = 40
opt = torch.optim.Adam(params, lr=2e-3, weight_decay=1e-5)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
x_tr = X[idx_tr]
for epoch in range(EPOCHS):
    encoder.train(); projector.train()
    tot, nb = 0.0, 0
    perm = torch.randperm(len(x_tr))
    for k in range(0, len(perm) - 127, 128):
        xb = x_tr[perm[k:k + 128]]
        loss = nt_xent(projector(encoder(views(xb))), projector(encoder(views(xb))), 0.2)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot, nb = tot + loss.item(), nb + 1
    sched.step()
    if (epoch + 1) % 5 == 0:
        print(f"epoch {epoch + 1}: nt-xent {tot / nb:.4f}")

encoder.eval()
with torch.no_grad():
    feat = encoder(X).numpy()
probe = LogisticRegression(max_iter=500, C=1.0).fit(feat[idx_tr], y[idx_tr])
print(f"linear probe: train {probe.score(feat[idx_tr], y[idx_tr]):.4f}, test {probe.score(feat[idx_te], y[idx_te]):.4f}")
