# Pretrain a small conv net on an easy source task, then move it to digit recognition in two phases.
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 12, 3, padding=1)
        self.c2 = nn.Conv2d(12, 24, 3, padding=1)
        self.fc = nn.Linear(24 * 4, 32)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.max_pool2d(F.relu(self.c2(x)), 2)
        return F.relu(self.fc(x.flatten(1)))


def stripes(n):
    """Source task: orientation of a noisy 8x8 stripe pattern."""
    y = np.random.randint(0, 4, n)
    gx, gy = np.meshgrid(np.arange(8), np.arange(8))
    imgs = []
    for c in y:
        a = c * np.pi / 4
        ph = np.random.rand() * 6.28
        imgs.append(0.5 + 0.5 * np.sin(1.6 * (np.cos(a) * gx + np.sin(a) * gy) + ph) + 0.2 * np.random.randn(8, 8))
    return torch.tensor(np.array(imgs), dtype=torch.float32)[:, None], torch.tensor(y)


def run_epochs(model, opt, x, y, epochs, tag, xv=None, yv=None):
    for ep in range(epochs):
        model.train()
        s = 0.0
        for idx in torch.randperm(len(x)).split(32):
            opt.zero_grad()
            loss = F.cross_entropy(model(x[idx]), y[idx])
            loss.backward()
            opt.step()
            s += loss.item() * len(idx)
        msg = f"{tag} {ep + 1:2d} loss {s / len(x):.4f}"
        if xv is not None:
            model.eval()
            with torch.no_grad():
                msg += f"  val acc {(model(xv).argmax(1) == yv).float().mean():.4f}"
        print(msg)


# ---- source task
backbone = Backbone()
net = nn.Sequential(backbone, nn.Linear(32, 4))
xs, ys = stripes(1500)
run_epochs(net, torch.optim.Adam(net.parameters(), lr=2e-3), xs, ys, 6, "source")

# ---- target task
d = load_digits()
X = torch.tensor(d.images / 16.0, dtype=torch.float32)[:, None]
Y = torch.tensor(d.target)
xtr, xva, ytr, yva = train_test_split(X, Y, test_size=0.3, random_state=SEED, stratify=Y)
model = nn.Sequential(backbone, nn.Linear(32, 10))

for p in backbone.parameters():
    p.requires_grad = False
optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=3e-3)
run_epochs(model, optimizer, xtr, ytr, 5, "head  ", xva, yva)

for p in backbone.parameters():
    p.requires_grad = True
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
run_epochs(model, optimizer, xtr, ytr, 25, "full  ", xva, yva)
