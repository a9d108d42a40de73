import gzip
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")


def read_idx(images, labels, n):
    with gzip.open(os.path.join(ROOT, images)) as f:
        x = np.frombuffer(f.read(16 + n * 784), dtype=np.uint8, offset=16).reshape(-1, 784)[:n]
    with gzip.open(os.path.join(ROOT, labels)) as f:
        y = np.frombuffer(f.read(8 + n), dtype=np.uint8, offset=8)[:n]
    return torch.tensor(x, dtype=torch.float32) / 255.0, torch.tensor(y, dtype=torch.long)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 128)
        self.fc3 = nn.Linear(128, 128)
        self.out = nn.Linear(128, 10)
        self.bn = nn.BatchNorm1d(128)

    def forward(self, x):
        x = F.relu(self.bn(self.fc1(x)))
        x = F.relu(self.bn(self.fc2(x)))
        x = F.relu(self.bn(self.fc3(x)))
        return self.out(x)


x_train, y_train = read_idx("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", 12000)
x_test, y_test = read_idx("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 4000)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=128, shuffle=True, drop_last=True)

net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()

for epoch in range(8):
    net.train()
    correct, seen, loss_sum = 0, 0, 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        logits = net(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(labels)
        correct += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)

    net.eval()
    with torch.no_grad():
        logits = net(x_test)
        test_loss = criterion(logits, y_test).item()
        test_acc = (logits.argmax(1) == y_test).float().mean().item()
    print(f"Epoch {epoch + 1}: loss={loss_sum / seen:.4f} acc={correct / seen:.4f} | test loss={test_loss:.4f} acc={test_acc:.4f}")
