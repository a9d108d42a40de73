# 20-bit codes for garments: a binary layer in the middle, classes read off the bits
import gzip
import os
import random
from pathlib import Path

import numpy as np
import torch
from torch import nn

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

root = Path(os.environ["DATA"]) / "fashion-mnist"


def idx(name, offset):
    return np.frombuffer(gzip.open(root / name).read(), dtype=np.uint8, offset=offset)


def images(name, n):
    a = idx(name, 16).reshape(-1, 28, 28)[:n].astype(np.float32) / 255
    a = a.reshape(n, 14, 2, 14, 2).mean((2, 4))         # halve the side
    return torch.from_numpy(a.reshape(n, -1))


Xa, ya = images("train-images-idx3-ubyte.gz", 10000), torch.from_numpy(idx("train-labels-idx1-ubyte.gz", 8)[:10000].astype(np.int64))
Xb, yb = images("t10k-images-idx3-ubyte.gz", 3000), torch.from_numpy(idx("t10k-labels-idx1-ubyte.gz", 8)[:3000].astype(np.int64))
m, s = Xa.mean(), Xa.std()
Xa, Xb = (Xa - m) / s, (Xb - m) / s


class Bits(torch.autograd.Function):
    """-1/+1 forward; straight-through backward, clipped to |x| < 1 (Hubara et al.)"""

    @staticmethod
    def forward(ctx, x):
        out = torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, grad):
        saved, = ctx.saved_tensors
        return grad * (saved.abs() < 1).to(grad.dtype)


class Coder(nn.Module):
    def __init__(self, bits=20):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(196, 128), nn.ReLU(), nn.Linear(128, bits), nn.BatchNorm1d(bits))
        self.read = nn.Linear(bits, 10)

    def codes(self, x):
        return Bits.apply(self.body(x))

    def forward(self, x):
        return self.read(self.codes(x))


net = Coder()
opt = torch.optim.NAdam(net.parameters(), lr=2e-3)
EPOCHS, BS = 14, 100
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS * len(Xa) // BS)
lossf = nn.CrossEntropyLoss()
for e in range(EPOCHS):
    net.train()
    order = torch.randperm(len(Xa))
    tot = 0
    for i in range(0, len(Xa), BS):
        k = order[i:i + BS]
        loss = lossf(net(Xa[k]), ya[k])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        tot += loss.item() * len(k)
    net.eval()
    with torch.no_grad():
        acc = (net(Xb).argmax(1) == yb).float().mean().item()
    print(f"[{e + 1:02d}/{EPOCHS}] loss {tot / len(Xa):.3f} held-out acc {acc:.4f}")
