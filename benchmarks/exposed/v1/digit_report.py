"""8x8 digits, small convolutional net, report per class."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, Dataset


def set_seed():
    s = int(os.environ.get("SEED", 0))
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)
    return s


class Digits(Dataset):
    def __init__(self, images, labels):
        self.images = torch.as_tensor(images, dtype=torch.float32).div(16).unsqueeze(1)
        self.labels = torch.as_tensor(labels, dtype=torch.long)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.images[i], self.labels[i]


class ConvBlock(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(ConvBlock(1, 16), ConvBlock(16, 32), nn.MaxPool2d(2), ConvBlock(32, 32))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(32 * 16, 64), nn.BatchNorm1d(64), nn.ReLU(),
                                        nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


def train_epoch(net, loader, opt, crit):
    net.train()
    total = 0
    for x, y in loader:
        opt.zero_grad()
        loss = crit(net(x), y)
        loss.backward()
        opt.step()
        total += loss.item() * len(y)
    return total / len(loader.dataset)


@torch.no_grad()
def report(net, data):
    """share of right answers for every digit, and over all of them"""
    per_class, right = [], 0
    for d in range(10):
        x = data.images[data.labels == d]
        hits = (net(x).argmax(1) == d).sum().item()
        per_class.append(hits / len(x))
        right += hits
    return right / len(data), per_class


def main():
    seed = set_seed()
    raw = load_digits()
    a, b, ya, yb = train_test_split(raw.images, raw.target, test_size=0.3, stratify=raw.target, random_state=seed)
    train, test = Digits(a, ya), Digits(b, yb)
    loader = DataLoader(train, batch_size=32, shuffle=True, drop_last=True)
    net = Net()
    opt = torch.optim.RMSprop(net.parameters(), lr=5e-4)
    crit = nn.CrossEntropyLoss()
    for epoch in range(12):
        loss = train_epoch(net, loader, opt, crit)
        acc, per_class = report(net, test)
        print(f"epoch {epoch + 1:2d}: loss {loss:.4f}, test accuracy {acc:.4f}")
    print("by digit:", " ".join(f"{d}:{p:.2f}" for d, p in enumerate(per_class)))


main()
