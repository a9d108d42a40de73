"""Pretrain a small convnet on garments (labels 0-4), then adapt it to the other five labels with few images."""
import gzip
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")


def read(kind):
    with gzip.open(os.path.join(ROOT, f"{kind}-labels-idx1-ubyte.gz")) as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int64)
    with gzip.open(os.path.join(ROOT, f"{kind}-images-idx3-ubyte.gz")) as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return x, y


def subset(x, y, labels, n, rng):
    idx = rng.permutation(np.flatnonzero(np.isin(y, labels)))[:n]
    xs = torch.from_numpy(x[idx].astype("float32") / 255.0)
    return (xs - 0.286) / 0.353, torch.from_numpy(y[idx] - labels[0])


class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                  nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.top = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten())
        self.fc = nn.Linear(288, n_classes)

    def forward(self, x):
        return self.fc(self.top(self.stem(x)))


class Trainer:
    def __init__(self, net, groups, batch_size=32):
        self.net, self.batch_size = net, batch_size
        self.opt = torch.optim.Adam(groups)

    def fit(self, x, y, epochs, valid=None):
        for ep in range(1, epochs + 1):
            self.net.train()
            losses = []
            for idx in torch.randperm(len(x)).split(self.batch_size):
                loss = F.cross_entropy(self.net(x[idx]), y[idx])
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
                losses.append(loss.item())
            msg = f"  epoch {ep} loss {np.mean(losses):.4f}"
            if valid is not None:
                msg += f" test acc {self.score(*valid):.4f}"
            print(msg)

    @torch.no_grad()
    def score(self, x, y):
        self.net.eval()
        return (self.net(x).argmax(1) == y).float().mean().item()


rng = np.random.RandomState(SEED)
xtr, ytr = read("train")
xte, yte = read("t10k")

print("source task")
net = Net(5)
Trainer(net, [{"params": net.parameters(), "lr": 1e-3}]).fit(*subset(xtr, ytr, [0, 1, 2, 3, 4], 4000, rng), epochs=4)

print("target task")
for p in net.stem.parameters():
    p.requires_grad = False
net.fc = nn.Linear(net.fc.in_features, 5)
trainer = Trainer(net, [{"params": net.top.parameters(), "lr": 1e-4}, {"params": net.fc.parameters(), "lr": 2e-3}], batch_size=16)
trainer.fit(*subset(xtr, ytr, [5, 6, 7, 8, 9], 600, rng), epochs=8, valid=subset(xte, yte, [5, 6, 7, 8, 9], 1500, rng))
