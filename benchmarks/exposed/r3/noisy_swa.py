"""Fashion pictures whose labels were crowd-sourced carelessly (30 % random): generalised cross entropy, cyclic rate, SWA."""
import gzip
import os
import random

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
folder = os.path.join(os.environ["DATA"], "fashion-mnist")


def read(kind, n):
    with gzip.open(f"{folder}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + 784 * n)[16:], np.uint8).reshape(n, 14, 2, 14, 2).mean((2, 4))
    with gzip.open(f"{folder}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + n)[8:], np.uint8).astype(np.int64)
    return torch.tensor(x.reshape(n, 196) / 255 * 2 - 0.6, dtype=torch.float32), torch.tensor(y)


xtr, ytrue = read("train", 8000)
xte, yte = read("t10k", 3000)
wild = torch.rand(len(ytrue)) < 0.3
y = torch.where(wild, torch.randint(0, 10, ytrue.shape), ytrue)
print(f"labels that differ from the experts': {(y != ytrue).float().mean():.3f}")

EPOCHS, LOW, HIGH, CYCLE, Q, WIDTH = 18, 0.01, 0.1, 3, 0.5, 128
net = nn.Sequential(nn.Linear(196, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Dropout(0.3),
                    nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Dropout(0.3), nn.Linear(WIDTH, 10))
average = AveragedModel(net)
loader = DataLoader(TensorDataset(xtr, y), batch_size=100, shuffle=True)
opt = torch.optim.SGD(net.parameters(), lr=HIGH, momentum=0.9, weight_decay=1e-4, nesterov=True)


def gce(logits, y):
    """(1 - p^q) / q of Zhang & Sabuncu 2018"""
    p = logits.softmax(1).gather(1, y[:, None]).clamp_min(1e-6)
    return ((1 - p ** Q) / Q).mean()


@torch.no_grad()
def accuracy(model):
    model.eval()
    return (model(xte).argmax(1) == yte).float().mean().item()


per = len(loader)
step = 0
for epoch in range(EPOCHS):
    net.train()
    total = hits = 0
    for xb, yb in loader:
        phase = (step % (CYCLE * per)) / (CYCLE * per)
        opt.param_groups[0]["lr"] = HIGH - (HIGH - LOW) * phase
        out = net(xb)
        loss = gce(out, yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
        total += loss.item() * len(xb)
        hits += (out.argmax(1) == yb).sum().item()
    if (epoch + 1) % CYCLE == 0:
        if epoch + 1 > EPOCHS // 2:
            average.update_parameters(net)
        print(f"epoch {epoch + 1} loss {total / len(xtr):.4f} agrees with given labels {hits / len(xtr):.3f}")
update_bn(loader, average)
print(f"last weights: {accuracy(net):.4f}")
print(f"averaged weights, test accuracy {accuracy(average):.4f}")
