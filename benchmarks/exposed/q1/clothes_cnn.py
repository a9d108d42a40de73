import gzip
import os
import random
from time import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def read_idx(name, offset, size):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(offset + size), dtype=np.uint8, offset=offset)


class Split:
    """Keeps the old next_batch() interface."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels
        self.pos, self.order = 0, np.random.permutation(len(images))

    def next_batch(self, n):
        if self.pos + n > len(self.order):
            self.pos, self.order = 0, np.random.permutation(len(self.order))
        idx = self.order[self.pos:self.pos + n]
        self.pos += n
        return torch.from_numpy(self.images[idx]), torch.from_numpy(self.labels[idx])


train_x = read_idx("train-images-idx3-ubyte.gz", 16, 12000 * 784).reshape(-1, 784).astype(np.float32) / 255.0
train_y = read_idx("train-labels-idx1-ubyte.gz", 8, 12000).astype(np.int64)
test_x = read_idx("t10k-images-idx3-ubyte.gz", 16, 2000 * 784).reshape(-1, 784).astype(np.float32) / 255.0
test_y = read_idx("t10k-labels-idx1-ubyte.gz", 8, 2000).astype(np.int64)
train = Split(train_x, train_y)


class ConvNet(nn.Module):
    def __init__(self, n1=8, n2=16, n3=64):
        super().__init__()
        self.conv1 = nn.Conv2d(1, n1, 3, padding=1)
        self.conv2 = nn.Conv2d(n1, n2, 3, padding=1)
        self.dense1 = nn.Linear(7 * 7 * n2, n3)
        self.drop = nn.Dropout(0.25)
        self.dense2 = nn.Linear(n3, 10)
        for m in (self.conv1, self.conv2, self.dense1):
            nn.init.xavier_uniform_(m.weight)
            nn.init.constant_(m.bias, 0.1)

    def forward(self, x):
        x = x.view(-1, 1, 28, 28)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.drop(F.relu(self.dense1(x.flatten(1))))
        return F.relu(self.dense2(x))


def categorical_crossentropy(labels, output, eps=1e-7):
    output = output / (output.sum(dim=1, keepdim=True) + eps)
    output = output.clamp(eps, 1.0 - eps)
    return -(F.one_hot(labels, 10) * output.log()).sum(dim=1).mean()


model = ConvNet()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)


def evaluate(x, y):
    model.eval()
    with torch.no_grad():
        out = torch.cat([model(torch.from_numpy(x[i:i + 500])) for i in range(0, len(x), 500)])
    model.train()
    y = torch.from_numpy(y)
    return categorical_crossentropy(y, out).item(), (out.argmax(1) == y).float().mean().item()


start = time()
for i in range(1201):
    xb, yb = train.next_batch(50)
    if i % 200 == 0:
        print("step", i, ": loss %.4f acc %.3f" % evaluate(xb.numpy(), yb.numpy()))
    loss = categorical_crossentropy(yb, model(xb))
    opt.zero_grad()
    loss.backward()
    opt.step()
print("time %.1f s" % (time() - start))
print("test accuracy %.4f" % evaluate(test_x, test_y)[1])
