import gzip
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def images(name):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)


def labels(name):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int64)


pick = np.random.permutation(60000)[:7000]
xtr = torch.tensor(images("train-images-idx3-ubyte.gz")[pick]).float() / 255
ytr = torch.tensor(labels("train-labels-idx1-ubyte.gz")[pick])
xte = torch.tensor(images("t10k-images-idx3-ubyte.gz")[:2000]).float() / 255
yte = torch.tensor(labels("t10k-labels-idx1-ubyte.gz")[:2000])
mean, std = xtr.mean(), xtr.std()
# half resolution is plenty for a laptop run
xtr, xte = [F.avg_pool2d((x - mean) / std, 2) for x in (xtr, xte)]


def block(cin, cout, stride):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class Net(nn.Module):
    def __init__(self, w=20):
        super().__init__()
        self.features = nn.Sequential(block(1, w, 1), nn.MaxPool2d(2), block(w, 2 * w, 1), nn.MaxPool2d(2), block(2 * w, 3 * w, 1))
        self.head = nn.Linear(27 * w, 10)

    def forward(self, x):
        x = self.features(x).flatten(1)
        return self.head(F.dropout(x, 0.3, self.training))


epochs, bs, max_lr = 10, 100, 0.01
model = Net()
opt = torch.optim.AdamW(model.parameters(), lr=max_lr, weight_decay=0.01)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=max_lr, total_steps=epochs * (len(xtr) // bs))


@torch.no_grad()
def accuracy(x, y):
    model.eval()
    hits = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(500), y.split(500)))
    return hits / len(y)


for ep in range(epochs):
    model.train()
    perm = torch.randperm(len(xtr))
    running = 0.0
    for i in range(0, len(perm), bs):
        j = perm[i:i + bs]
        opt.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(xtr[j]), ytr[j], label_smoothing=0.05)
        loss.backward()
        opt.step()
        sched.step()
        running += loss.item()
    print("epoch", ep + 1, "loss %.3f" % (running / (len(xtr) // bs)), "lr %.5f" % sched.get_last_lr()[0])
print("train accuracy %.4f" % accuracy(xtr[:2000], ytr[:2000]))
print("test accuracy %.4f" % accuracy(xte, yte))
