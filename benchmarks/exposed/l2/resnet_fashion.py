# Small ResNet on Fashion-MNIST (subset so that it runs on CPU)
import gzip
import os
import random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

root = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(kind, n):
    with gzip.open(f"{root}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + 784 * n)[16:], np.uint8).reshape(-1, 1, 28, 28)
    with gzip.open(f"{root}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + n)[8:], np.uint8)
    x = torch.from_numpy(x.astype(np.float32) / 255.0)
    return TensorDataset((x - 0.286) / 0.353, torch.from_numpy(y.astype(np.int64)))


class BasicConv2d(nn.Module):
    def __init__(self, in_planes, out_planes, kernel_size, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(in_planes, out_planes, kernel_size=kernel_size,
                              stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_planes, eps=0.001, momentum=0, affine=True)

    def forward(self, x):
        return self.bn(self.conv(x))


class ResBlock(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.c1 = BasicConv2d(cin, cout, 3, stride, 1)
        self.c2 = BasicConv2d(cout, cout, 3, 1, 1)
        self.short = BasicConv2d(cin, cout, 1, stride) if (stride != 1 or cin != cout) else nn.Identity()

    def forward(self, x):
        h = F.relu(self.c1(x))
        h = self.c2(h)
        return F.relu(h + self.short(x))


class SmallResNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = BasicConv2d(1, 8, 3, 2, 1)
        self.layer1 = ResBlock(8, 16, 1)
        self.layer2 = ResBlock(16, 32, 2)
        self.layer3 = ResBlock(32, 32, 1)
        self.fc = nn.Linear(32, num_classes)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = x.mean(dim=(2, 3))
        return self.fc(x)


train_loader = DataLoader(load("train", 4000), batch_size=64, shuffle=True)
val_loader = DataLoader(load("t10k", 1000), batch_size=250)

model = SmallResNet()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
epochs = 5
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)


def train_one_epoch():
    model.train()
    correct, total, loss_sum = 0, 0, 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        logits = model(x)
        loss = criterion(logits, y)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * y.size(0)
        correct += (logits.argmax(1) == y).sum().item()
        total += y.size(0)
    return loss_sum / total, correct / total


@torch.no_grad()
def validate():
    model.eval()
    correct, total, loss_sum = 0, 0, 0.0
    for x, y in val_loader:
        logits = model(x)
        loss_sum += criterion(logits, y).item() * y.size(0)
        correct += (logits.argmax(1) == y).sum().item()
        total += y.size(0)
    return loss_sum / total, correct / total


for epoch in range(epochs):
    tl, ta = train_one_epoch()
    vl, va = validate()
    scheduler.step()
    print(f"[{epoch + 1}/{epochs}] train loss {tl:.3f} acc {ta:.3f} | val loss {vl:.3f} acc {va:.3f}")
