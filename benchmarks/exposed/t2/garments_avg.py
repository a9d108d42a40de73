#!/usr/bin/env python
"""Small conv net on Fashion-MNIST, scored with a running average of its weights."""
import argparse, copy, gzip, os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def read_idx(path, head):
    with gzip.open(path, "rb") as f:
        return np.frombuffer(f.read(), np.uint8, offset=head)


def load(kind, n):
    d = os.path.join(os.environ["DATA"], "fashion-mnist")
    x = read_idx(f"{d}/{kind}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:n]
    y = read_idx(f"{d}/{kind}-labels-idx1-ubyte.gz", 8)[:n]
    return (torch.tensor(x / 255., dtype=torch.float32) - .286) / .353, torch.tensor(y).long()


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())


class Average:
    """shadow copy of a network whose weights follow the trained ones slowly"""

    def __init__(self, net, decay):
        self.decay = decay
        self.shadow = copy.deepcopy(net).eval()
        for p in self.shadow.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, net):
        for s, p in zip(self.shadow.parameters(), net.parameters()):
            s.mul_(self.decay).add_(p, alpha=1 - self.decay)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=7)
    ap.add_argument("--lr", type=float, default=4e-3)
    ap.add_argument("--decay", type=float, default=.97)
    a = ap.parse_args()
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

    x, y = load("train", 8000)
    xt, yt = load("t10k", 2500)
    net = nn.Sequential(block(1, 16), block(16, 32), block(32, 48), nn.Flatten(), nn.Linear(48 * 16, 10))
    opt = torch.optim.Adam(net.parameters(), lr=a.lr)
    per_epoch = len(x) // 100
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, a.lr, total_steps=a.epochs * per_epoch)
    avg = Average(net, a.decay)
    for epoch in range(a.epochs):
        net.train()
        total = 0.
        for rows in torch.randperm(len(x)).split(100):
            loss = F.cross_entropy(net(x[rows]), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            avg.update(net)
            total += loss.item()
        with torch.no_grad():
            acc = (avg.shadow(xt).argmax(1) == yt).float().mean().item()
        print(f"epoch {epoch + 1} train loss {total / per_epoch:.4f} test accuracy (average) {acc:.4f}")


if __name__ == "__main__":
    main()
