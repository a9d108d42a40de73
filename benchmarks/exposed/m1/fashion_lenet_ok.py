import gzip
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

seed = int(os.environ.get("SEED", "0"))
torch.manual_seed(seed)
np.random.seed(seed)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(prefix, n):
    with gzip.open(os.path.join(root, prefix + "-images-idx3-ubyte.gz")) as f:
        img = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(os.path.join(root, prefix + "-labels-idx1-ubyte.gz")) as f:
        lab = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    return torch.from_numpy(img / 255.0).float(), torch.from_numpy(lab.astype(np.int64))


x_train, y_train = load("train", 5000)
x_test, y_test = load("t10k", 2000)
mean, std = x_train.mean(), x_train.std()
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 5, stride=2)
        self.conv2 = nn.Conv2d(12, 24, 3)
        self.fc1 = nn.Linear(24 * 5 * 5, 80)
        self.fc2 = nn.Linear(80, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        x = F.dropout(x, 0.5, training=self.training)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, 0.5, training=self.training)
        return self.fc2(x)


def train(model, optimizer, epoch, batch=50):
    model.train()
    perm = torch.randperm(len(x_train))
    total = 0.0
    for i in range(0, len(perm), batch):
        idx = perm[i:i + batch]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
        total += loss.item()
    print("Train epoch {} loss {:.4f}".format(epoch, total / (len(perm) / batch)))


def test(model):
    model.eval()
    with torch.no_grad():
        out = model(x_test)
        acc = (out.argmax(1) == y_test).float().mean().item()
        print("Test loss {:.4f}  accuracy {:.4f}".format(F.cross_entropy(out, y_test).item(), acc))


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1.5e-3)
for epoch in range(1, 8):
    train(model, optimizer, epoch)
    test(model)
