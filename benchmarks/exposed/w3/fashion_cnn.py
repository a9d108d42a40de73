#!/usr/bin/env python
# Fashion-MNIST, tiny CNN for a CPU. Only the first part of the training file is used, a laptop has no patience.
import argparse
import gzip
import os
import random
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=6)
ap.add_argument("--lr", type=float, default=0.08)
ap.add_argument("--bs", type=int, default=64)
ap.add_argument("--mom", type=float, default=0.9)
ap.add_argument("--wd", type=float, default=5e-4)
ap.add_argument("--ch", type=int, default=8)
ap.add_argument("--n", type=int, default=12000)
args = ap.parse_args()

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

root = os.path.join(os.environ["DATA"], "fashion-mnist")


def idx(name, skip):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=skip)


xtr = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
ytr = idx("train-labels-idx1-ubyte.gz", 8)
xte = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
yte = idx("t10k-labels-idx1-ubyte.gz", 8)

perm = np.random.permutation(len(xtr))[: args.n + 2000]
xtr, ytr = xtr[perm], ytr[perm]
prep = lambda a: (torch.from_numpy(a.astype(np.float32)) / 255 - 0.286) / 0.353
X, Y = prep(xtr[: args.n]), torch.from_numpy(ytr[: args.n].astype(np.int64))
XV, YV = prep(xtr[args.n:]), torch.from_numpy(ytr[args.n:].astype(np.int64))
XT, YT = prep(xte), torch.from_numpy(yte.astype(np.int64))


class Net(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c1 = nn.Conv2d(1, c, 5, stride=2, padding=2, bias=False)
        self.b1 = nn.BatchNorm2d(c)
        self.c2 = nn.Conv2d(c, 3 * c, 3, stride=2, padding=1, bias=False)
        self.b2 = nn.BatchNorm2d(3 * c)
        self.fc = nn.Linear(3 * c * 49, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.b1(self.c1(x)))
        x = F.relu(self.b2(self.c2(x)))
        x = F.relu(self.fc(x.flatten(1)))
        return self.head(F.dropout(x, 0.2, self.training))


@torch.no_grad()
def accuracy(m, x, y):
    m.eval()
    hit = sum((m(x[i:i + 1000]).argmax(1) == y[i:i + 1000]).sum().item() for i in range(0, len(x), 1000))
    return hit / len(x)


model = Net(args.ch)
opt = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=args.mom, weight_decay=args.wd, nesterov=True)
steps = args.epochs * (args.n // args.bs)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
t0 = time.time()
for ep in range(args.epochs):
    model.train()
    p = torch.randperm(args.n)
    run = 0.0
    for k in range(args.n // args.bs):
        b = p[k * args.bs:(k + 1) * args.bs]
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(X[b]), Y[b])
        loss.backward()
        opt.step()
        sched.step()
        run = 0.98 * run + 0.02 * loss.item() if k else loss.item()
    print("ep", ep + 1, "loss", round(run, 3), "val acc", round(accuracy(model, XV, YV), 4), "(%.0fs)" % (time.time() - t0))
print("test acc", accuracy(model, XT, YT))
