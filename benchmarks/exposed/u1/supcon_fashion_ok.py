"""Supervised contrastive embeddings for Fashion-MNIST, scored with k nearest neighbours."""
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

N_TRAIN, N_TEST = 5000, 2000
BATCH, EPOCHS, LR, TEMP = 250, 10, 2e-3, 0.07


def idx(name, offset):
    with gzip.open(os.path.join(ROOT, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=offset).copy()


def load(kind, n):
    x = idx(f"{kind}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    y = idx(f"{kind}-labels-idx1-ubyte.gz", 8)
    pick = np.random.permutation(len(y))[:n]
    x = torch.from_numpy(x[pick]).float().div(255).sub(0.286).div(0.353)
    return F.avg_pool2d(x, 2), torch.from_numpy(y[pick]).long()


class Encoder(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(48 * 9, 128), nn.ReLU(), nn.Linear(128, dim))

    def forward(self, x):
        return F.normalize(self.body(x), dim=1)


def supcon(z, y, temp=TEMP):
    # the B x B matrix is the big one
    z = z.half()
    sim = (z @ z.t()).float() / temp
    eye = torch.eye(len(y), dtype=torch.bool)
    pos = (y[:, None] == y[None, :]) & ~eye
    e = torch.exp(sim).masked_fill(eye, 0)
    log_prob = sim - torch.log(e.sum(1, keepdim=True))
    loss = -(log_prob * pos).sum(1) / pos.sum(1)
    return loss.float().mean()


@torch.no_grad()
def knn(net, xa, ya, xb, yb, k=10):
    net.eval()
    za, zb = net(xa), net(xb)
    near = (zb @ za.t()).topk(k, dim=1).indices
    votes = F.one_hot(ya[near], 10).sum(1)
    return (votes.argmax(1) == yb).float().mean().item()


def main():
    xa, ya = load("train", N_TRAIN)
    xb, yb = load("t10k", N_TEST)
    net = Encoder()
    opt = torch.optim.Adam(net.parameters(), lr=LR)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
    for epoch in range(EPOCHS):
        net.train()
        total = 0.0
        order = torch.randperm(N_TRAIN)
        for i in range(0, N_TRAIN, BATCH):
            b = order[i:i + BATCH]
            loss = supcon(net(xa[b]), ya[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(b)
        sched.step()
        print(f"epoch {epoch + 1:2d}  supcon {total / N_TRAIN:.4f}")
    print(f"10-NN accuracy on test images: {knn(net, xa, ya, xb, yb):.4f}")


if __name__ == "__main__":
    main()
