# pullover or coat?  two folders of small grey pictures, one conv net
import gzip
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")


def read(kind, n):
    with gzip.open(os.path.join(ROOT, f"{kind}-images-idx3-ubyte.gz")) as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(os.path.join(ROOT, f"{kind}-labels-idx1-ubyte.gz")) as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8)
    keep = np.flatnonzero((y == 2) | (y == 4))[:n]
    return torch.tensor(x[keep] / 255.0, dtype=torch.float32), torch.tensor(y[keep] == 4, dtype=torch.float32)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.fc1 = nn.Linear(32 * 5 * 5, 64)
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        x = self.drop(F.relu(self.fc1(x)))
        return F.softmax(self.fc2(x), dim=1)


def evaluate(net, loader):
    net.eval()
    good = n = 0
    with torch.no_grad():
        for x, y in loader:
            good += ((net(x)[:, 0] > 0.5).float() == y).sum().item()
            n += len(y)
    return good / n


train_dl = DataLoader(TensorDataset(*read("train", 2400)), batch_size=32, shuffle=True)
test_dl = DataLoader(TensorDataset(*read("t10k", 1200)), batch_size=500)
net = Net()
opt = torch.optim.RMSprop(net.parameters(), lr=1e-3)
bce = nn.BCELoss()
for epoch in range(1, 5):
    net.train()
    losses = []
    for x, y in train_dl:
        opt.zero_grad()
        loss = bce(net(x)[:, 0], y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    print(f"epoch {epoch}  loss {np.mean(losses):.4f}  val_acc {evaluate(net, test_dl):.4f}")
print("final accuracy", evaluate(net, test_dl))
