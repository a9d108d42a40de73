import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def make_signals(n, length=64):
    """four kinds of short vibration records, random phase and period"""
    t = np.arange(length)
    xs, ys = [], []
    for _ in range(n):
        k = np.random.randint(4)
        period = np.random.uniform(12, 20)
        ph = np.random.uniform(0, 2 * np.pi)
        u = 2 * np.pi * t / period + ph
        if k == 0:
            s = np.sin(u)
        elif k == 1:
            s = np.sign(np.sin(u))
        elif k == 2:
            s = 2 * ((u / (2 * np.pi)) % 1) - 1
        else:
            s = np.sin(u) * np.sin(u * 0.25 + np.random.uniform(0, 6))
        xs.append(s + 0.45 * np.random.randn(length))
        ys.append(k)
    return np.array(xs, dtype=np.float32), np.array(ys)


class SignalDataset(Dataset):
    def __init__(self, signals, labels, train=True):
        self.signals = torch.from_numpy(signals)
        self.labels = torch.from_numpy(labels)
        self.train = train

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        x = self.signals[idx]
        if self.train:
            # random gain and a bit of sensor noise
            x *= 1.0 + 0.1 * torch.randn(1)
            x += 0.25 * torch.randn(x.shape)
        return x.unsqueeze(0), self.labels[idx]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(32, 32, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(4))
        self.classifier = nn.Linear(32 * 4, 4)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


xs, ys = make_signals(2000)
train_set = SignalDataset(xs[:1000], ys[:1000], train=True)
test_set = SignalDataset(xs[1000:], ys[1000:], train=False)
train_loader = DataLoader(train_set, batch_size=50, shuffle=True)
test_loader = DataLoader(test_set, batch_size=250)

net = Net()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
ce = nn.CrossEntropyLoss()

for epoch in range(60):
    net.train()
    running, correct = 0.0, 0
    for x, y in train_loader:
        out = net(x)
        loss = ce(out, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        running += loss.item()
        correct += (out.argmax(1) == y).sum().item()
    if (epoch + 1) % 5 == 0:
        net.eval()
        with torch.no_grad():
            hits = sum((net(x).argmax(1) == y).sum().item() for x, y in test_loader)
        print(f"epoch {epoch + 1:3d}  loss {running / len(train_loader):.3f}  "
              f"train acc {correct / len(train_set):.3f}  test acc {hits / len(test_set):.3f}")

print("final test accuracy", hits / len(test_set))
