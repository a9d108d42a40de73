"""Pretrain on six kinds of clothes, then learn the other four from 10 pictures each.

Step 1 would normally be run once and its checkpoint kept; both steps are here to have it in one place.
"""
import gzip
import os
import random
import tempfile

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
FM = os.path.join(os.environ["DATA"], "fashion-mnist")
OLD, NEW = [0, 1, 3, 4, 5, 8], [2, 6, 7, 9]


def idx(name, skip):
    with gzip.open(os.path.join(FM, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=skip)


def pick(part, classes, per_class):
    y = idx(f"{part}-labels-idx1-ubyte.gz", 8)
    x = idx(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    rows = np.concatenate([np.random.permutation(np.flatnonzero(y == c))[:per_class] for c in classes])
    target = np.repeat(np.arange(len(classes)), per_class)
    return torch.tensor(x[rows] / 255.0, dtype=torch.float32), torch.tensor(target)


def conv_body():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
    )


class Pretrainer(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.backbone = conv_body()
        self.classifier = nn.Linear(32, n)

    def forward(self, x):
        return self.classifier(self.backbone(x))


class FewShot(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.features = conv_body()
        self.head = nn.Linear(32, n)

    def forward(self, x):
        return self.head(self.features(x))


def fit(model, x, y, params, lr, epochs, batch):
    opt = torch.optim.Adam(params, lr=lr)
    loss_fn = nn.CrossEntropyLoss()
    for e in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            loss = loss_fn(model(x[rows]), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
        if e % max(1, epochs // 5) == 0:
            print(f"   epoch {e} loss {loss.item():.4f}")


with tempfile.TemporaryDirectory() as tmp:
    ckpt = os.path.join(tmp, "pretrained.pt")
    print("pretraining")
    big = Pretrainer(len(OLD))
    xb, yb = pick("train", OLD, 1500)
    fit(big, xb, yb, big.parameters(), lr=2e-3, epochs=4, batch=64)
    torch.save(big.state_dict(), ckpt)

    print("new classes")
    small = FewShot(len(NEW))
    weights = torch.load(ckpt)
    small.load_state_dict(weights, strict=False)  # the head is new

small.features.requires_grad_(False)
xs, ys = pick("train", NEW, 10)
xt, yt = pick("t10k", NEW, 500)
fit(small, xs, ys, small.head.parameters(), lr=1e-2, epochs=80, batch=20)
with torch.no_grad():
    print(f"accuracy on the new classes: {(small(xt).argmax(1) == yt).float().mean().item():.4f}")
