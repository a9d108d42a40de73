# Self-supervised features for the 8x8 digits (Barlow Twins), judged by a linear probe.
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
X = torch.tensor(X / 16.0, dtype=torch.float32).view(-1, 1, 8, 8)
i_train, i_test = train_test_split(np.arange(len(y)), test_size=500, stratify=y, random_state=SEED)
x_train = X[i_train]


def view(x):
    n = len(x)
    x = F.pad(x, (1, 1, 1, 1))
    dx, dy = torch.randint(0, 3, (n,)), torch.randint(0, 3, (n,))
    rows = (dy[:, None] + torch.arange(8))[:, :, None]
    cols = (dx[:, None] + torch.arange(8))[:, None, :]
    x = x[torch.arange(n)[:, None, None], 0, rows, cols].unsqueeze(1)
    gain = 0.7 + 0.6 * torch.rand(n, 1, 1, 1)
    keep = (torch.rand_like(x) > 0.15).float()
    return x * gain * keep + 0.1 * torch.randn_like(x)


encoder = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Flatten(), nn.Linear(512, 64), nn.BatchNorm1d(64), nn.ReLU())
projector = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64))
norm = nn.BatchNorm1d(64, affine=False)
lambd = 0.01

params = list(encoder.parameters()) + list(projector.parameters())
opt = torch.optim.Adam(params, lr=2e-3, weight_decay=1e-5)


def barlow(a, b):
    c = norm(projector(encoder(a))).T @ norm(projector(encoder(b))) / len(a)
    on = (torch.diagonal(c) - 1).pow(2).sum()
    off = c.pow(2).sum() - torch.diagonal(c).pow(2).sum()
    return on + lambd * off


def features(x):
    encoder.eval()
    with torch.no_grad():
        return encoder(x).numpy()


epochs, batch = 40, 128
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
for epoch in range(epochs):
    encoder.train(); projector.train()
    perm = torch.randperm(len(x_train))
    losses = []
    for k in range(0, len(perm) - batch + 1, batch):
        x = x_train[perm[k:k + batch]]
        loss = barlow(view(x), view(x))
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    sched.step()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:3d}  loss {np.mean(losses):.3f}")

probe = LogisticRegression(max_iter=3000, C=1.0).fit(features(x_train), y[i_train])
print(f"linear probe on frozen features, test accuracy {probe.score(features(X[i_test]), y[i_test]):.4f}")
