"""Classify 14x14 fashion thumbnails with a dense network."""
import gzip
import os
import struct

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def read_images(path, limit):
    with gzip.open(path, "rb") as f:
        _, n, h, w = struct.unpack(">IIII", f.read(16))
        n = min(n, limit)
        return np.frombuffer(f.read(n * h * w), dtype=np.uint8).reshape(n, h, w)


def read_labels(path, limit):
    with gzip.open(path, "rb") as f:
        _, n = struct.unpack(">II", f.read(8))
        return np.frombuffer(f.read(min(n, limit)), dtype=np.uint8)


def shrink(img):
    n = len(img)
    return img.reshape(n, 14, 2, 14, 2).mean(axis=(2, 4)).astype(np.uint8)


def prepare(split, limit):
    base = os.path.join(os.environ["DATA"], "fashion-mnist", split)
    small = shrink(read_images(base + "-images-idx3-ubyte.gz", limit)).reshape(-1, 196)
    small = small // 255
    labels = read_labels(base + "-labels-idx1-ubyte.gz", limit)
    return TensorDataset(torch.tensor(small, dtype=torch.float32), torch.tensor(labels, dtype=torch.long))


def train(model, loader, criterion, optimizer):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


def test(model, loader):
    model.eval()
    right = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
    return right / len(loader.dataset)


if __name__ == "__main__":
    train_loader = DataLoader(prepare("train", 10000), batch_size=100, shuffle=True)
    test_loader = DataLoader(prepare("t10k", 3000), batch_size=500)
    model = nn.Sequential(nn.Linear(196, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for epoch in range(10):
        loss = train(model, train_loader, criterion, optimizer)
        print("epoch", epoch, "loss", round(loss, 4), "test accuracy", round(test(model, test_loader), 4))
