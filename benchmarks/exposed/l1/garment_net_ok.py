import gzip
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class Garments(Dataset):
    def __init__(self, kind, limit):
        root = os.path.join(os.environ["DATA"], "fashion-mnist")
        with gzip.open(os.path.join(root, kind + "-images-idx3-ubyte.gz")) as f:
            raw = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 784)[:limit]
        with gzip.open(os.path.join(root, kind + "-labels-idx1-ubyte.gz")) as f:
            lab = np.frombuffer(f.read(), np.uint8, offset=8)[:limit]
        self.x = torch.from_numpy(raw.astype(np.float32)).div_(255)
        self.y = torch.from_numpy(lab.astype(np.int64))

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Net(nn.Module):
    def __init__(self, width=100):
        super().__init__()
        self.fc1 = nn.Linear(784, width)
        self.fc2 = nn.Linear(width, width)
        self.fc3 = nn.Linear(width, width)
        self.fc4 = nn.Linear(width, width)
        self.out = nn.Linear(width, 10)
        self.bn1 = nn.BatchNorm1d(width)
        self.bn2 = nn.BatchNorm1d(width)
        self.bn3 = nn.BatchNorm1d(width)
        self.bn4 = nn.BatchNorm1d(width)

    def forward(self, x):
        x = F.relu(self.bn1(self.fc1(x)))
        x = F.relu(self.bn2(self.fc2(x)))
        x = F.relu(self.bn3(self.fc3(x)))
        x = F.relu(self.bn4(self.fc4(x)))
        return self.out(x)


def train(model, loader, optimizer):
    model.train()
    loss_sum, right = 0.0, 0
    for x, y in loader:
        optimizer.zero_grad()
        z = model(x)
        loss = F.cross_entropy(z, y)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(y)
        right += (z.argmax(1) == y).sum().item()
    n = len(loader.dataset)
    return loss_sum / n, right / n


@torch.no_grad()
def test(model, loader):
    model.eval()
    loss_sum, right = 0.0, 0
    for x, y in loader:
        z = model(x)
        loss_sum += F.cross_entropy(z, y, reduction="sum").item()
        right += (z.argmax(1) == y).sum().item()
    n = len(loader.dataset)
    return loss_sum / n, right / n


train_loader = DataLoader(Garments("train", 10000), batch_size=100, shuffle=True, drop_last=True)
test_loader = DataLoader(Garments("t10k", 3000), batch_size=500)
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(1, 9):
    tl, ta = train(model, train_loader, optimizer)
    vl, va = test(model, test_loader)
    print(f"[{epoch}] train {tl:.3f}/{ta:.3f}   test {vl:.3f}/{va:.3f}")
