import gzip, os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(kind, n):
    with gzip.open(os.path.join(root, f"{kind}-images-idx3-ubyte.gz")) as f:
        x = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(n, 784)
    with gzip.open(os.path.join(root, f"{kind}-labels-idx1-ubyte.gz")) as f:
        y = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    x = (x.astype(np.float32) / 255.0 - 0.286) / 0.353
    return torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.dropout(x, p=0.5, training=self.training)
        x = F.relu(self.fc2(x))
        x = F.dropout(x, p=0.5, training=self.training)
        return F.log_softmax(self.fc3(x), dim=1)


def train(model, x, y, optimizer, epoch, bs=64):
    model.train()
    perm = torch.randperm(len(x))
    total = 0.0
    for i in range(0, len(x), bs):
        b = perm[i:i + bs]
        optimizer.zero_grad()
        loss = F.nll_loss(model(x[b]), y[b])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(b)
    print("Train epoch %d  loss %.4f" % (epoch, total / len(x)))


@torch.no_grad()
def test(model, x, y):
    model.eval()
    out = model(x)
    acc = (out.argmax(1) == y).float().mean().item()
    print("    test loss %.4f  accuracy %.4f" % (F.nll_loss(out, y).item(), acc))
    return acc


xtr, ytr = load("train", 6000)
xte, yte = load("t10k", 2000)
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(1, 21):
    train(model, xtr, ytr, optimizer, epoch)
    acc = test(model, xte, yte)
print("final accuracy %.4f" % acc)
