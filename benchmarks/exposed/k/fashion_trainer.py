import gzip
import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
np.random.seed(SEED)


@dataclass
class Config:
    epochs: int = 6
    batch_size: int = 64
    lr: float = 0.05
    momentum: float = 0.9
    step_size: int = 3
    gamma: float = 0.3


def read_idx(path, header, count, width):
    with gzip.open(path) as f:
        raw = f.read(header + count * width)
    return np.frombuffer(raw, np.uint8, offset=header).reshape(count, width)


def get_split(kind, n):
    folder = os.path.join(os.environ["DATA"], "fashion-mnist")
    x = read_idx(f"{folder}/{kind}-images-idx3-ubyte.gz", 16, n, 784).astype(np.float32) / 255.0
    y = read_idx(f"{folder}/{kind}-labels-idx1-ubyte.gz", 8, n, 1)[:, 0].astype(np.int64)
    return TensorDataset(torch.from_numpy((x - 0.286) / 0.353), torch.from_numpy(y))


class Trainer:
    def __init__(self, model, cfg, train_set, test_set):
        self.model, self.cfg = model, cfg
        self.train_loader = DataLoader(train_set, batch_size=cfg.batch_size, shuffle=True)
        self.test_loader = DataLoader(test_set, batch_size=512)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(model.parameters(), lr=cfg.lr, momentum=cfg.momentum)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, cfg.step_size, cfg.gamma)
        self.history = []

    def train_epoch(self):
        self.model.train()
        total = 0.0
        for inputs, targets in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(inputs), targets)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def test(self):
        self.model.eval()
        right = sum((self.model(x).argmax(1) == y).sum().item() for x, y in self.test_loader)
        return right / len(self.test_loader.dataset)

    def fit(self):
        for epoch in range(self.cfg.epochs):
            loss = self.train_epoch()
            acc = self.test()
            self.history.append((loss, acc))
            print(f"Epoch {epoch + 1}/{self.cfg.epochs} - loss: {loss:.4f} - test accuracy: {acc:.4f}")


model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
Trainer(model, Config(), get_split("train", 9000), get_split("t10k", 3000)).fit()
