"""45 % of the training labels are wrong on purpose (crowd workers); the test labels are right.
Generalised cross entropy (Zhang & Sabuncu 2018) keeps the net from learning them by heart."""
import gzip
import os
import random

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

Q = 0.7
FLIP = 0.45


def gce(logits, y):
    p = torch.softmax(logits, 1).gather(1, y[:, None]).clamp(min=1e-6)
    return ((1 - p ** Q) / Q).mean()


def read(kind, n):
    base = os.path.join(os.environ["DATA"], "fashion-mnist", kind)
    with gzip.open(base + "-images-idx3-ubyte.gz") as f:
        im = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(n, 28, 28).astype(np.float32)
    with gzip.open(base + "-labels-idx1-ubyte.gz") as f:
        lb = np.frombuffer(f.read(8 + n), np.uint8, offset=8).astype(np.int64)
    small = im.reshape(n, 14, 2, 14, 2).mean((2, 4)).reshape(n, 196) / 255
    return torch.from_numpy((small - 0.286) / 0.32), torch.from_numpy(lb)


class Trainer:
    def __init__(self, hidden=64, lr=0.1, epochs=12):
        self.net = torch.nn.Sequential(torch.nn.Linear(196, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 10))
        self.opt = torch.optim.SGD(self.net.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
        self.sched = torch.optim.lr_scheduler.CosineAnnealingLR(self.opt, epochs)
        self.epochs = epochs

    def accuracy(self, x, y):
        with torch.no_grad():
            return (self.net(x).argmax(1) == y).float().mean().item()

    def fit(self, x, y, xt, yt):
        loader = DataLoader(TensorDataset(x, y), batch_size=200, shuffle=True)
        for ep in range(self.epochs):
            s = 0
            for xb, yb in loader:
                self.opt.zero_grad()
                l = gce(self.net(xb), yb)
                l.backward()
                self.opt.step()
                s += l.item()
            self.sched.step()
            print(f"epoch {ep:2d} loss {s / len(loader):.4f} agreement with given labels {self.accuracy(x, y):.4f}"
                  f" clean test accuracy {self.accuracy(xt, yt):.4f}")


seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)
x, y = read("train", 12000)
xt, yt = read("t10k", 5000)
wrong = torch.rand(len(y)) < FLIP
y = torch.where(wrong, (y + torch.randint(1, 10, y.shape)) % 10, y)
Trainer().fit(x, y, xt, yt)
