import argparse
import gzip
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

# Port of my Keras model (Conv-BN-ReLU x2, Dense-BN-ReLU, Dense) to PyTorch.
parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--lr", type=float, default=2e-3)
parser.add_argument("--n", type=int, default=6500)
args = parser.parse_args()

seed = int(os.environ.get("SEED", "0"))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


def read_idx(name):
    with gzip.open(os.path.join(os.environ["DATA"], "fashion-mnist", name), "rb") as fh:
        raw = fh.read()
    ndim = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(ndim)]
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy())


def dataset(prefix, n):
    images = read_idx(prefix + "-images-idx3-ubyte.gz")
    labels = read_idx(prefix + "-labels-idx1-ubyte.gz")
    keep = torch.randperm(len(images))[:n]
    images = (images[keep].float() / 255 - 0.286) / 0.353
    return TensorDataset(images.unsqueeze(1), labels[keep].long())


class Net(nn.Module):
    def __init__(self, momentum=0.01):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(12, eps=1e-3, momentum=momentum)
        self.conv2 = nn.Conv2d(12, 24, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(24, eps=1e-3, momentum=momentum)
        self.fc1 = nn.Linear(24 * 7 * 7, 64, bias=False)
        self.bn3 = nn.BatchNorm1d(64, eps=1e-3, momentum=momentum)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.fc1(x.flatten(1))))
        return self.fc2(x)


def evaluate(model, loader):
    model.eval()
    hits = n = 0
    with torch.no_grad():
        for x, y in loader:
            hits += (model(x).argmax(1) == y).sum().item()
            n += len(y)
    return hits / n


def main():
    train = DataLoader(dataset("train", args.n), batch_size=args.batch_size, shuffle=True)
    test = DataLoader(dataset("t10k", 10000), batch_size=500)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=args.lr, epochs=args.epochs, steps_per_epoch=len(train))
    for epoch in range(args.epochs):
        model.train()
        running, seen = 0.0, 0
        for x, y in train:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            running += loss.item() * len(y)
            seen += len(y)
        print("epoch %d  train loss %.4f  test acc %.4f" % (epoch + 1, running / seen, evaluate(model, test)))


if __name__ == "__main__":
    main()
