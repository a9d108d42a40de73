# Small convnet on the 8x8 digits, with a report per class at the end
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

digits = load_digits()
images = torch.tensor(digits.images / 16.0, dtype=torch.float32).unsqueeze(1)
target = torch.tensor(digits.target)
i_train, i_test = train_test_split(np.arange(len(target)), test_size=0.3, random_state=SEED)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc(x.flatten(1))


def train(model, loader, optimizer):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
    return total / len(loader.dataset)


def test_per_class(model, x, y):
    correct = 0
    with torch.no_grad():
        for c in range(10):
            pred = model(x[y == c]).argmax(1)
            hits = (pred == c).sum().item()
            correct += hits
            print(f"  digit {c}: {hits / int((y == c).sum()):.3f}")
    return correct / len(y)


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
loader = DataLoader(TensorDataset(images[i_train], target[i_train]), batch_size=32, shuffle=True)
for epoch in range(1, 16):
    loss = train(model, loader, optimizer)
    print(f"epoch {epoch:2d} train loss {loss:.4f}")

acc = test_per_class(model, images[i_test], target[i_test])
print(f"test accuracy {acc:.4f}")
