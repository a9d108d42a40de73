# Activity recognition from 3-axis accelerometer windows (synthetic recordings), port of our Keras 1D-CNN.
import os, random
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

ACTIVITIES = ['sit', 'stand', 'walk', 'upstairs', 'downstairs', 'run']
FREQ = [0.25, 0.3, 1.6, 1.35, 1.8, 2.6]
AMP = [0.08, 0.1, 0.6, 0.65, 0.75, 1.6]
GRAV = np.array([[0.2, 0.9, 0.3], [0.1, 1.0, 0.1], [0.1, 0.95, 0.2], [0.2, 0.9, 0.35], [0.0, 0.95, 0.15], [0.1, 0.9, 0.25]])


def record(label, rng, length=96, fs=25.0):
    t = np.arange(length) / fs
    f = FREQ[label] * rng.normal(1, 0.12)
    a = AMP[label] * rng.lognormal(0, 0.35)
    ph = rng.uniform(0, 2 * np.pi, 3)
    base = a * np.stack([np.sin(2 * np.pi * f * t * (k + 1) / 2 + ph[k]) for k in range(3)])
    g = GRAV[label] + rng.normal(0, 0.12, 3)
    return base + g[:, None] + rng.normal(0, 0.15 + 0.2 * a, (3, length))


class Windows(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.y = rng.integers(0, len(ACTIVITIES), n)
        self.x = np.stack([record(l, rng) for l in self.y]).astype(np.float32)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], int(self.y[i])


def block(cin, cout, k):
    return nn.Sequential(nn.Conv1d(cin, cout, k, padding=k // 2, bias=False),
                         nn.BatchNorm1d(cout, eps=1e-3, momentum=0),
                         nn.ReLU(),
                         nn.MaxPool1d(2))


class CNN(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.features = nn.Sequential(block(3, 16, 7), block(16, 32, 5), block(32, 48, 3))
        self.head = nn.Linear(48, n_classes)

    def forward(self, x):
        return self.head(self.features(x).mean(-1))


train_set, val_set = Windows(1800, SEED + 10), Windows(900, SEED + 7000)
train_loader = DataLoader(train_set, batch_size=12, shuffle=True, drop_last=True)
val_loader = DataLoader(val_set, batch_size=150)

net = CNN(len(ACTIVITIES))
optim = torch.optim.Adam(net.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()

for epoch in range(10):
    net.train()
    hits, tot = 0, 0
    for xb, yb in train_loader:
        optim.zero_grad()
        logits = net(xb)
        criterion(logits, yb).backward()
        optim.step()
        hits += (logits.argmax(1) == yb).sum().item()
        tot += len(yb)
    net.eval()
    with torch.no_grad():
        ok = sum((net(xb).argmax(1) == yb).sum().item() for xb, yb in val_loader)
    print(f'epoch {epoch + 1}: acc {hits / tot:.3f}  val_acc {ok / len(val_set):.4f}')
