"""Small residual CNN on a part of Fashion-MNIST, super-convergence style: SGD with a very high peak rate."""
import gzip, os, time
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)


def load(kind, n):
    folder = os.path.join(os.environ["DATA"], "fashion-mnist")
    with gzip.open(os.path.join(folder, kind + "-images-idx3-ubyte.gz")) as f:
        x = np.frombuffer(f.read(16 + n * 784), dtype=np.uint8, offset=16).reshape(n, 1, 28, 28)
    with gzip.open(os.path.join(folder, kind + "-labels-idx1-ubyte.gz")) as f:
        y = np.frombuffer(f.read(8 + n), dtype=np.uint8, offset=8)
    return F.avg_pool2d(torch.from_numpy(x.astype(np.float32)), 2) / 255, torch.from_numpy(y.astype(np.int64))


def conv(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.f = nn.Sequential(conv(c, c), conv(c, c))

    def forward(self, x):
        return x + self.f(x)


W = 16
net = nn.Sequential(conv(1, W), Residual(W), nn.MaxPool2d(2), conv(W, 2 * W), Residual(2 * W), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(2 * W, 10))
Xtr, ytr = load("train", 5000)
Xte, yte = load("t10k", 2000)
m, s = Xtr.mean(), Xtr.std()
Xtr, Xte = (Xtr - m) / s, (Xte - m) / s
EPOCHS, BATCH, PEAK = 20, 100, 0.2
opt = torch.optim.SGD(net.parameters(), lr=PEAK / 10, momentum=0.9, nesterov=True, weight_decay=5e-4)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, PEAK, total_steps=EPOCHS * len(Xtr) // BATCH, pct_start=0.3)
crit = nn.CrossEntropyLoss(label_smoothing=0.1)
t0 = time.time()
for epoch in range(EPOCHS):
    net.train()
    tot = 0.0
    for idx in torch.randperm(len(Xtr)).split(BATCH):
        xb = Xtr[idx]
        if torch.rand(()) < 0.5:
            xb = xb.flip(3)
        opt.zero_grad()
        loss = crit(net(xb), ytr[idx])
        loss.backward()
        opt.step()
        sched.step()
        tot += loss.item()
    net.eval()
    with torch.no_grad():
        acc = (net(Xte).argmax(1) == yte).float().mean().item()
    print(f"epoch {epoch}: lr {sched.get_last_lr()[0]:.4f} loss {tot / (len(Xtr) // BATCH):.4f} test acc {acc:.4f} ({time.time() - t0:.0f} s)")
print(f"test accuracy {acc:.4f}")
