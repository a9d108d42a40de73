import gzip
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
BN_DECAY = 0.9


def conv_bn(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out, momentum=1 - BN_DECAY),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv_bn(1, 12), conv_bn(12, 24), conv_bn(24, 32))
        self.head = nn.Linear(32 * 3 * 3, 10)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


def fashion(kind, n):
    base = os.path.join(os.environ["DATA"], "fashion-mnist", kind)
    x = np.frombuffer(gzip.open(base + "-images-idx3-ubyte.gz").read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)[:n]
    y = np.frombuffer(gzip.open(base + "-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)[:n]
    return TensorDataset(torch.tensor(x).float().sub(72.9).div(90.0), torch.tensor(y).long())


def train(model, loader, opt):
    model.train()
    loss_sum = hits = n = 0
    for x, y in loader:
        opt.zero_grad()
        out = model(x)
        loss = F.cross_entropy(out, y)
        loss.backward()
        opt.step()
        loss_sum += loss.item() * len(y)
        hits += (out.argmax(1) == y).sum().item()
        n += len(y)
    return loss_sum / n, hits / n


@torch.no_grad()
def test(model, loader):
    model.eval()
    loss_sum = hits = n = 0
    for x, y in loader:
        out = model(x)
        loss_sum += F.cross_entropy(out, y, reduction="sum").item()
        hits += (out.argmax(1) == y).sum().item()
        n += len(y)
    return loss_sum / n, hits / n


train_loader = DataLoader(fashion("train", 5000), batch_size=64, shuffle=True)
test_loader = DataLoader(fashion("t10k", 2000), batch_size=500)
model = ConvNet()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(3):
    tl, ta = train(model, train_loader, opt)
    vl, va = test(model, test_loader)
    print("epoch %d  train %.3f / %.3f   test %.3f / %.3f" % (epoch + 1, tl, ta, vl, va))
