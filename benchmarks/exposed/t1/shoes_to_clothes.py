"""Transfer: pretrain an encoder on 'shoe or not', then reuse it for all ten Fashion classes.
Stage 1 trains the new head alone, stage 2 the whole network."""
import gzip
import os
import random

import numpy as np
import torch
from torch import nn, optim

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
FOLDER = os.path.join(os.environ["DATA"], "fashion-mnist")


def images(name, n):
    with gzip.open(os.path.join(FOLDER, name)) as f:
        f.read(16)
        raw = np.frombuffer(f.read(n * 784), dtype=np.uint8).reshape(n, 784)
    return torch.from_numpy(raw.astype(np.float32) / 255.0 - 0.286) / 0.353


def labels(name, n):
    with gzip.open(os.path.join(FOLDER, name)) as f:
        f.read(8)
        return torch.from_numpy(np.frombuffer(f.read(n), dtype=np.uint8).astype(np.int64))


X, Y = images("train-images-idx3-ubyte.gz", 12000), labels("train-labels-idx1-ubyte.gz", 12000)
Xt, Yt = images("t10k-images-idx3-ubyte.gz", 3000), labels("t10k-labels-idx1-ubyte.gz", 3000)
source_x, source_y = X[:4000], ((Y == 5) | (Y == 7) | (Y == 9)).long()[:4000]
target_x, target_y = X[4000:], Y[4000:]


class Net(nn.Module):
    def __init__(self, n_out):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(),
            nn.Linear(128, 24), nn.ReLU(),
        )
        self.head = nn.Linear(24, n_out)

    def forward(self, x):
        return self.head(self.encoder(x))


def train(model, opt, x, y, epochs, tag):
    crit = nn.CrossEntropyLoss()
    for e in range(epochs):
        tot = 0.0
        for b in torch.randperm(len(x)).split(64):
            opt.zero_grad()
            loss = crit(model(x[b]), y[b])
            loss.backward()
            opt.step()
            tot += loss.item() * len(b)
        print(f"{tag} epoch {e + 1} loss {tot / len(x):.4f}")


@torch.no_grad()
def accuracy(model):
    return (model(Xt).argmax(1) == Yt).float().mean().item()


# source task
net = Net(2)
train(net, optim.Adam(net.parameters(), lr=1e-3), source_x, source_y, 3, "pretrain")

# target task, stage 1: encoder frozen
net.head = nn.Linear(24, 10)
for p in net.encoder.parameters():
    p.requires_grad_(False)
optimizer = optim.Adam((p for p in net.parameters() if p.requires_grad), lr=1e-3)
train(net, optimizer, target_x, target_y, 3, "head")
print(f"test accuracy after stage 1: {accuracy(net):.4f}")

# stage 2: everything
for p in net.encoder.parameters():
    p.requires_grad_(True)
train(net, optimizer, target_x, target_y, 8, "full")
print(f"test accuracy after stage 2: {accuracy(net):.4f}")
