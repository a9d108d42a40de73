"""Small ConvNet on a part of Fashion-MNIST; the averaged weights are what we deploy."""
import copy
import gzip
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

DATA = os.path.join(os.environ["DATA"], "fashion-mnist")


def seed_all(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


def read_split(kind, n):
    with gzip.open(f"{DATA}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(n, 1, 28, 28)
    with gzip.open(f"{DATA}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    x = torch.from_numpy(x.copy()).float().div_(255)
    return (x - 0.286) / 0.353, torch.from_numpy(y.copy()).long()


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(8)
        self.c2, self.b2 = nn.Conv2d(8, 24, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(24)
        self.fc = nn.Linear(24 * 49, 10)

    def forward(self, x):
        x = F.relu(self.b1(self.c1(x)))
        x = F.relu(self.b2(self.c2(x)))
        return self.fc(x.flatten(1))


class Averaged:
    """Exponential moving average of a model."""

    def __init__(self, model, decay=0.98):
        self.decay = decay
        self.model = copy.deepcopy(model).eval()
        self.model.requires_grad_(False)

    @torch.no_grad()
    def update(self, live):
        for avg, p in zip(self.model.parameters(), live.parameters()):
            avg.lerp_(p, 1 - self.decay)


@torch.no_grad()
def accuracy(model, x, y):
    return (model(x).argmax(1) == y).float().mean().item()


seed_all(int(os.environ.get("SEED", 0)))
xtr, ytr = read_split("train", 8000)
xte, yte = read_split("t10k", 2000)

net = ConvNet()
ema = Averaged(net)
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
epochs = 6
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
for epoch in range(1, epochs + 1):
    net.train()
    loss_sum = 0.0
    for idx in torch.randperm(len(xtr)).split(100):
        loss = F.cross_entropy(net(xtr[idx]), ytr[idx])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        ema.update(net)
        loss_sum += loss.item() * len(idx)
    sched.step()
    print(f"{epoch:02d} loss {loss_sum / len(xtr):.4f} averaged model, test accuracy {accuracy(ema.model, xte, yte):.4f}")
