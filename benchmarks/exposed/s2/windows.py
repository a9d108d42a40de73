"""Activity recognition from a 3-axis wrist sensor (simulated), 1d conv net."""
import os
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

RATE, WIN, CLASSES = 25, 64, 5  # Hz, samples, activities


def recording(activity, rng, n=400):
    """One person doing one thing: gait frequency, its harmonic and sensor noise."""
    t = np.arange(n) / RATE
    f = [0.4, 1.0, 1.6, 2.3, 3.0][activity] * rng.uniform(0.92, 1.08)
    amp = rng.uniform(0.6, 1.4, 3)
    ph = rng.uniform(0, 2 * np.pi, 3)
    sig = [a * np.sin(2 * np.pi * f * t + p) + 0.3 * a * np.sin(4 * np.pi * f * t + 2 * p) for a, p in zip(amp, ph)]
    return np.stack(sig) + rng.normal(0, 0.3, (3, n)) + rng.normal(0, 1, (3, 1))


class Windows(Dataset):
    def __init__(self, people, seed, hop=32):
        rng = np.random.default_rng(seed)
        self.recs, self.index = [], []
        for _ in range(people):
            for a in range(CLASSES):
                self.recs.append((recording(a, rng), a))
                k = len(self.recs) - 1
                self.index += [(k, s) for s in range(0, 400 - WIN, hop)]
        self.win = np.empty((3, WIN), dtype=np.float32)  # reused, saves allocations

    def __len__(self):
        return len(self.index)

    def __getitem__(self, i):
        k, s = self.index[i]
        sig, a = self.recs[k]
        self.win[:] = sig[:, s:s + WIN]
        self.win -= self.win.mean(axis=1, keepdims=True)
        self.win /= self.win.std() + 1e-6
        return torch.from_numpy(self.win), a


train_dl = DataLoader(Windows(30, 100 + SEED), batch_size=64, shuffle=True)
test_dl = DataLoader(Windows(20, 900 + SEED), batch_size=64, shuffle=True)  # other people

net = nn.Sequential(
    nn.Conv1d(3, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
    nn.Conv1d(16, 32, 5, padding=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
    nn.Flatten(), nn.Linear(32, CLASSES),
)
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
ce = nn.CrossEntropyLoss()

for epoch in range(10):
    net.train()
    tot = 0.0
    for x, y in train_dl:
        opt.zero_grad()
        loss = ce(net(x), y)
        loss.backward()
        opt.step()
        tot += loss.item() * len(y)
    net.eval()
    hit = n = 0
    with torch.no_grad():
        for x, y in test_dl:
            hit += (net(x).argmax(1) == y).sum().item()
            n += len(y)
    print(f"epoch {epoch + 1} loss {tot / len(train_dl.dataset):.4f} test acc {hit / n:.4f}")
