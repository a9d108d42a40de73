"""SimCLR in miniature: contrastive pre-training on unlabelled 8x8 digits,
then a logistic probe on frozen features from 200 labelled images."""
import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split


class Config:
    seed = int(os.environ.get("SEED", 0))
    batch = 256
    epochs = 40
    lr = 3e-3
    tau = 0.3
    dim = 64


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


def augment(x):
    """one random affine + noise + cutout per image"""
    n = len(x)
    ang = (torch.rand(n) - 0.5) * 0.6
    sc = 1 + (torch.rand(n) - 0.5) * 0.3
    th = torch.zeros(n, 2, 3)
    th[:, 0, 0] = th[:, 1, 1] = torch.cos(ang) * sc
    th[:, 0, 1], th[:, 1, 0] = -torch.sin(ang) * sc, torch.sin(ang) * sc
    th[:, :, 2] = (torch.rand(n, 2) - 0.5) * 0.5
    x = F.grid_sample(x, F.affine_grid(th, x.shape, align_corners=False), align_corners=False)
    x = x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1)) + 0.1 * torch.randn_like(x)
    return x


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 16, dim), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 32))

    def forward(self, x):
        return F.normalize(self.head(self.body(x)), dim=1)


def nt_xent(a, b, tau):
    z = torch.cat([a, b])
    sim = z @ z.T / tau
    sim.fill_diagonal_(-1e9)
    n = len(a)
    target = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(sim, target)


def probe(enc, xl, yl, xt, yt):
    enc.eval()
    with torch.no_grad():
        fl, ft = enc.body(xl).numpy(), enc.body(xt).numpy()
    mu, sd = fl.mean(0), fl.std(0) + 1e-6
    clf = LogisticRegression(C=0.1, max_iter=2000).fit((fl - mu) / sd, yl)
    return clf.score((ft - mu) / sd, yt)


def main(c):
    set_seed(c.seed)
    x, y = load_digits(return_X_y=True)
    x = torch.tensor(x / 16.0, dtype=torch.float32).view(-1, 1, 8, 8)
    tr, te = train_test_split(np.arange(len(y)), test_size=500, stratify=y, random_state=c.seed)
    lab, _ = train_test_split(tr, train_size=200, stratify=y[tr], random_state=c.seed)
    enc = Encoder(c.dim)
    print(f"probe on random features: {probe(enc, x[lab], y[lab], x[te], y[te]):.3f}")
    opt = torch.optim.Adam(enc.parameters(), lr=c.lr, weight_decay=1e-6)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, c.epochs)
    xu = x[tr]
    for ep in range(c.epochs):
        enc.train()
        losses = []
        for b in torch.randperm(len(xu)).split(c.batch):
            if len(b) < c.batch:
                continue
            loss = nt_xent(enc(augment(xu[b])), enc(augment(xu[b])), c.tau)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        sched.step()
        if (ep + 1) % 10 == 0:
            print(f"epoch {ep + 1} nt-xent {np.mean(losses):.3f} probe {probe(enc, x[lab], y[lab], x[te], y[te]):.3f}")


main(Config)
