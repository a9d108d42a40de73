"""Contrastive pre-training (NT-Xent) on unlabelled digits, then a linear probe on few labels."""
import os, random
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

d = load_digits()
perm = np.random.permutation(len(d.target))
imgs = torch.tensor(d.images[perm] / 16.0, dtype=torch.float32)[:, None]
labels = torch.tensor(d.target[perm])
unlab, probe, test = slice(0, 1200), slice(0, 200), slice(1200, None)


def augment(x):
    n = len(x)
    th = (torch.rand(n) - 0.5) * 0.6
    sc = 1 + (torch.rand(n) - 0.5) * 0.4
    sh = (torch.rand(n, 2) - 0.5) * 0.5
    A = torch.stack([torch.stack([sc * th.cos(), -sc * th.sin(), sh[:, 0]], 1),
                     torch.stack([sc * th.sin(), sc * th.cos(), sh[:, 1]], 1)], 1)
    x = F.grid_sample(x, F.affine_grid(A, x.shape, align_corners=False), align_corners=False)
    x = x * (0.7 + 0.6 * torch.rand(n, 1, 1, 1)) + 0.08 * torch.randn_like(x)
    return x


encoder = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
projector = nn.Sequential(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 32))


def nt_xent(a, b, tau=0.2):
    z = F.normalize(torch.cat([a, b]), dim=1)
    sim = z @ z.T / tau
    sim.fill_diagonal_(-1e4)
    n = len(a)
    return F.cross_entropy(sim, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))


epochs = 40
params = [*encoder.parameters(), *projector.parameters()]
opt = torch.optim.AdamW(params, lr=3e-3, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
pool = imgs[unlab]
for epoch in range(epochs):
    encoder.train(); projector.train()
    tot = 0
    for idx in torch.randperm(len(pool)).split(200):
        x = pool[idx]
        loss = nt_xent(projector(encoder(augment(x))), projector(encoder(augment(x))))
        opt.zero_grad(); loss.backward(); opt.step()
        tot += loss.item()
    sched.step()
    if epoch % 8 == 7:
        print(f"pretrain epoch {epoch + 1}: nt-xent {tot / 6:.3f}")

encoder.eval()
with torch.no_grad():
    feats = encoder(imgs)
feats = (feats - feats[unlab].mean(0)) / (feats[unlab].std(0) + 1e-3)
head = nn.Linear(256, 10)
opt = torch.optim.Adam(head.parameters(), lr=1e-2, weight_decay=1e-2)
for it in range(200):
    loss = F.cross_entropy(head(feats[probe]), labels[probe])
    opt.zero_grad(); loss.backward(); opt.step()
acc = (head(feats[test]).argmax(1) == labels[test]).float().mean().item()
print(f"linear probe with 200 labels: loss {loss.item():.4f} test accuracy {acc:.4f}")
