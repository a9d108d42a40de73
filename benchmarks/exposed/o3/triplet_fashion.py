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


def read(images, labels, n):
    with gzip.open(os.path.join(root, images)) as f:
        x = np.frombuffer(f.read(16 + n * 784), np.uint8)[16:].reshape(n, 1, 28, 28)
    with gzip.open(os.path.join(root, labels)) as f:
        y = np.frombuffer(f.read(8 + n), np.uint8)[8:]
    return torch.tensor(x / 255.0, dtype=torch.float32), torch.tensor(y.astype(np.int64))


X, Y = read("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", 5000)
Q, QY = read("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", 2000)
mean, std = X.mean(), X.std()
X, Q = (X - mean) / std, (Q - mean) / std
by_class = [torch.where(Y == c)[0] for c in range(10)]


class Embed(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.c1 = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.c2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.fc = nn.Linear(32 * 49, dim)
        self.n1, self.n2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)

    def forward(self, x):
        x = F.relu(self.n1(self.c1(x)))
        x = F.relu(self.n2(self.c2(x)))
        return F.normalize(self.fc(x.flatten(1)), dim=1) * 4


def batch_hard(z, y):
    d = torch.cdist(z, z) + 1e-6
    same = y[:, None] == y[None]
    pos = (d * same).max(1).values
    neg = d.masked_fill(same, 1e9).min(1).values
    return F.softplus(pos - neg).mean(), (pos > neg).float().mean()


def knn_accuracy(net, k=7):
    net.eval()
    with torch.no_grad():
        g, q = net(X), net(Q)
        near = torch.cdist(q, g).topk(k, largest=False).indices
        votes = F.one_hot(Y[near], 10).sum(1)
        return (votes.argmax(1) == QY).float().mean().item()


net = Embed()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
STEPS = 800
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
print("untrained 7-nn accuracy %.3f" % knn_accuracy(net))
for step in range(1, STEPS + 1):
    net.train()
    pick = torch.cat([c[torch.randint(len(c), (12,))] for c in by_class])     # 10 classes x 12 images
    loss, violated = batch_hard(net(X[pick]), Y[pick])
    opt.zero_grad(); loss.backward(); opt.step(); sched.step()
    if step % 200 == 0:
        print(f"step {step}  triplet loss {loss.item():.3f}  hardest triplets violated {violated.item():.2f}")
print("test 7-nn accuracy %.4f" % knn_accuracy(net))
