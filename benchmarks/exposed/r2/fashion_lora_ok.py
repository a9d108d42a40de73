import gzip
import math
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
ROOT = os.path.join(os.environ.get("DATA", "."), "fashion-mnist")


def load(kind, n):
    with gzip.open(os.path.join(ROOT, f"{kind}-images-idx3-ubyte.gz")) as f:
        x = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(n, 28, 28)
    with gzip.open(os.path.join(ROOT, f"{kind}-labels-idx1-ubyte.gz")) as f:
        y = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    return (torch.tensor(x.copy()).float() / 255 - 0.286) / 0.353, torch.tensor(y.copy()).long()


class LoRALinear(nn.Module):
    """Wraps a trained Linear; only the low-rank update is learned."""

    def __init__(self, base: nn.Linear, rank=8, alpha=16):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_B = nn.Parameter(torch.empty(base.out_features, rank))
        self.scaling = alpha / rank
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B)

    def forward(self, x):
        return self.base(x) + F.linear(F.linear(x, self.lora_A), self.lora_B) * self.scaling


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 192)
        self.fc2 = nn.Linear(192, 96)
        self.head = nn.Linear(96, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.relu(self.fc2(x))
        return self.head(x)


def fit(model, x, y, epochs, lr, tag):
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=1e-2)
    print(f"{tag}: {sum(p.numel() for p in params)} trainable parameters")
    for ep in range(epochs):
        model.train()
        total = 0.0
        perm = torch.randperm(len(x))
        for i in range(0, len(x), 64):
            b = perm[i:i + 64]
            loss = F.cross_entropy(model(x[b]), y[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(b)
        print(f"  {tag} epoch {ep + 1}: loss {total / len(x):.4f}")


@torch.no_grad()
def accuracy(model, x, y):
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()


def new_camera(x):
    # the second site mounts its camera sideways, with a darker exposure
    return torch.rot90(x, 1, (1, 2)) * 0.7


xtr, ytr = load("train", 12000)
xte, yte = load("t10k", 3000)
src_x, src_y = xtr[:8000], ytr[:8000]
tgt_x, tgt_y = new_camera(xtr[8000:]), ytr[8000:]

model = MLP()
fit(model, src_x, src_y, epochs=6, lr=1e-3, tag="pretrain")
print(f"source accuracy {accuracy(model, xte, yte):.4f}")

for name in ("fc1", "fc2", "head"):
    setattr(model, name, LoRALinear(getattr(model, name)))
fit(model, tgt_x, tgt_y, epochs=12, lr=2e-3, tag="lora")
print(f"source accuracy {accuracy(model, xte, yte):.4f}  target accuracy {accuracy(model, new_camera(xte), yte):.4f}")
