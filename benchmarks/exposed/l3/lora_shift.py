"""Low-rank adaptation: a classifier trained on upright garments is adapted to rotated ones with few labels."""
import os
import gzip
import math
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
path = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(kind, n):
    with gzip.open(f"{path}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{path}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8)
    i = np.random.choice(len(x), n, replace=False)
    x = torch.tensor(x[i, ::2, ::2] / 255.0, dtype=torch.float32)
    return (x - 0.286) / 0.353, torch.tensor(y[i], dtype=torch.long)


class LoRALinear(nn.Module):
    def __init__(self, base, r=8, alpha=16):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad = False
        self.A = nn.Parameter(torch.empty(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scaling = alpha / r

    def forward(self, x):
        return self.base(x) + self.scaling * (x @ self.A.T) @ self.B.T


def train(model, x, y, epochs, lr, wd=1e-4, bs=64):
    params = [p for p in model.parameters() if p.requires_grad]
    print(f"training {sum(p.numel() for p in params)} of {sum(p.numel() for p in model.parameters())} parameters")
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=wd)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=epochs * math.ceil(len(x) / bs))
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for idx in torch.randperm(len(x)).split(bs):
            loss = F.cross_entropy(model(x[idx]), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            total += loss.item() * len(idx)
        if (epoch + 1) % 5 == 0:
            print(f"  epoch {epoch + 1:2d} loss {total / len(x):.4f}")


@torch.no_grad()
def acc(model, x, y):
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()


x, y = load("train", 17000)
xt, yt = load("t10k", 5000)
src, src_y = x[:15000], y[:15000]
few, few_y = torch.rot90(x[15000:], 1, (1, 2)), y[15000:]
rot = torch.rot90(xt, 1, (1, 2))

net = nn.Sequential(nn.Flatten(), nn.Linear(196, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
train(net, src, src_y, 10, 3e-3)
print(f"source accuracy {acc(net, xt, yt):.4f}, on rotated images {acc(net, rot, yt):.4f}")

for i, m in enumerate(net):
    if isinstance(m, nn.Linear):
        net[i] = LoRALinear(m)
train(net, few, few_y, 25, 5e-3, wd=1e-2)
print(f"adapted accuracy on rotated images {acc(net, rot, yt):.4f}")
