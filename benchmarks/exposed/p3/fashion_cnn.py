# Fashion-MNIST, first 6000 training images, small CNN (taken from my notebook)
import gzip
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")


def images(name, n):
    with gzip.open(os.path.join(ROOT, name)) as f:
        raw = f.read(16 + 784 * n)
    return np.frombuffer(raw, np.uint8, offset=16).reshape(n, 28, 28)


def labels(name, n):
    with gzip.open(os.path.join(ROOT, name)) as f:
        return np.frombuffer(f.read(8 + n), np.uint8, offset=8).astype(np.int64)


N, NT = 6000, 2000
xtr = torch.tensor(images("train-images-idx3-ubyte.gz", N)).float().div(255).unsqueeze(1)
ytr = torch.tensor(labels("train-labels-idx1-ubyte.gz", N))
xte = torch.tensor(images("t10k-images-idx3-ubyte.gz", NT)).float().div(255).unsqueeze(1)
yte = torch.tensor(labels("t10k-labels-idx1-ubyte.gz", NT))
m, s = xtr.mean(), xtr.std()
xtr, xte = (xtr - m) / s, (xte - m) / s

C = 16
net = nn.Sequential(
    nn.Conv2d(1, C, 5, stride=2, padding=2), nn.BatchNorm2d(C), nn.ReLU(),
    nn.Conv2d(C, 2 * C, 3, padding=1), nn.BatchNorm2d(2 * C), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * C * 49, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10),
)
EPOCHS, BS = 15, 64
opt = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=4e-3, epochs=EPOCHS, steps_per_epoch=(N + BS - 1) // BS)


def flip(x):
    k = torch.rand(len(x)) < 0.5
    x = x.clone()
    x[k] = x[k].flip(-1)
    return x


for epoch in range(EPOCHS):
    net.train()
    total, right = 0.0, 0
    for b in torch.randperm(N).split(BS):
        out = net(flip(xtr[b]))
        loss = F.cross_entropy(out, ytr[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        total += loss.item() * len(b)
        right += (out.argmax(1) == ytr[b]).sum().item()
    print(f"epoch {epoch}  loss {total / N:.4f}  acc {right / N:.4f}")

net.eval()
with torch.no_grad():
    out = torch.cat([net(c) for c in xte.split(500)])
print(f"test loss {F.cross_entropy(out, yte):.4f}  accuracy {(out.argmax(1) == yte).float().mean():.4f}")
