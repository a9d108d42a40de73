import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

d = load_digits()
X = torch.tensor(d.images / 16.0, dtype=torch.float32).unsqueeze(1)
i_tr, i_te = train_test_split(np.arange(len(X)), test_size=0.3, stratify=d.target, random_state=SEED)
X_tr, X_te, y_tr, y_te = X[i_tr], X[i_te], d.target[i_tr], d.target[i_te]


def augment(x):
    """random rotation/scale/shift, brightness and a bit of noise"""
    n = len(x)
    a = (torch.rand(n) - 0.5) * 0.6
    s = 1 + (torch.rand(n) - 0.5) * 0.4
    t = (torch.rand(n, 2) - 0.5) * 0.5
    theta = torch.stack([torch.stack([s * a.cos(), -s * a.sin(), t[:, 0]], 1),
                         torch.stack([s * a.sin(), s * a.cos(), t[:, 1]], 1)], 1)
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    x = x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1))
    return x + 0.05 * torch.randn_like(x)


class Encoder(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(256, dim))
        self.g = nn.Sequential(nn.ReLU(), nn.Linear(dim, 32))

    def forward(self, x):
        h = self.f(x)
        return h, F.normalize(self.g(h), dim=1)


def info_nce(z1, z2, tau=0.2):
    z = torch.cat([z1, z2])
    n = len(z1)
    sim = z @ z.t() / tau
    sim.fill_diagonal_(float("-inf"))
    target = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return F.cross_entropy(sim, target)


def probe(net):
    net.eval()
    with torch.no_grad():
        a, b = net.f(X_tr).numpy(), net.f(X_te).numpy()
    m, s = a.mean(0), a.std(0) + 1e-6
    few = np.concatenate([np.where(y_tr == c)[0][:10] for c in range(10)])
    clf = LogisticRegression(max_iter=2000, C=0.1).fit((a[few] - m) / s, y_tr[few])
    return clf.score((b - m) / s, y_te)


net = Encoder()
print("probe, random encoder: %.4f" % probe(net))
EPOCHS, B = 30, 128
opt = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-5)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for epoch in range(EPOCHS):
    net.train()
    tot = []
    for idx in torch.randperm(len(X_tr)).split(B):
        if len(idx) < B // 2:
            continue
        xb = X_tr[idx]
        _, z1 = net(augment(xb))
        _, z2 = net(augment(xb))
        loss = info_nce(z1, z2)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot.append(loss.item())
    sched.step()
    if epoch % 10 == 9:
        print("epoch %d  nt-xent %.4f" % (epoch + 1, np.mean(tot)))
print("probe with 10 labels per class: %.4f" % probe(net))
