"""Pre-train a small conv net on five garment classes, freeze it, and fit a new head on the other five from few labels."""
import gzip, os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def idx(name, skip):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=skip)


def load(part):
    x = idx(part + "-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return x, idx(part + "-labels-idx1-ubyte.gz", 8)


def to_float(x):
    return F.avg_pool2d(torch.tensor(x, dtype=torch.float32) / 255 - 0.29, 2) / 0.33


xa, ya = load("t10k")
SOURCE, TARGET = [1, 2, 5, 8, 9], [0, 3, 4, 6, 7]
src = rng.permutation(np.nonzero(np.isin(ya, SOURCE))[0])
xs, ys = to_float(xa[src]), torch.tensor(np.searchsorted(SOURCE, ya[src]))

few, rest = [], []
for c in TARGET:
    r = rng.permutation(np.nonzero(ya == c)[0])
    few.append(r[:20])
    rest.append(r[20:500])
few, rest = np.concatenate(few), np.concatenate(rest)
xf, yf = to_float(xa[few]), torch.tensor(np.searchsorted(TARGET, ya[few]))
xr, yr = to_float(xa[rest]), torch.tensor(np.searchsorted(TARGET, ya[rest]))

backbone = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
head = nn.Linear(32 * 9, 5)
opt = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=2e-3)
for ep in range(3):
    for b in torch.randperm(len(xs)).split(64):
        loss = F.cross_entropy(head(backbone(xs[b])), ys[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
    print("pretraining epoch", ep, "loss", round(loss.item(), 3))

# ---- transfer: the backbone stays as it is, statistics included
for p in backbone.parameters():
    p.requires_grad_(False)
backbone.eval()
new_head = nn.Sequential(nn.Dropout(0.3), nn.Linear(32 * 9, 5))
opt = torch.optim.AdamW([p for p in new_head.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.1)
for ep in range(80):
    new_head.train()
    tot = 0.0
    for b in torch.randperm(len(xf)).split(20):
        with torch.no_grad():
            feats = backbone(xf[b])
        loss = F.cross_entropy(new_head(feats), yf[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(b)
    if ep % 10 == 9:
        print("head epoch", ep + 1, "loss", round(tot / len(xf), 4))

new_head.eval()
with torch.no_grad():
    print("target test accuracy: %.4f" % (new_head(backbone(xr)).argmax(1) == yr).float().mean().item())
