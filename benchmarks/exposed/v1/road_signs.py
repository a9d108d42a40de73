import argparse, os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser(description="tiny traffic sign recogniser")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--bs", type=int, default=64)
parser.add_argument("--lr", type=float, default=0.05)
args = parser.parse_args()

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

SIGNS = ["turn-left", "turn-right", "straight-on", "stop", "keep-left", "keep-right", "no-entry", "give-way"]
S = 20


def draw(kind, rng):
    im = np.zeros((S, S), np.float32)
    c = S // 2
    if kind in (0, 1):                     # horizontal arrow
        im[c - 1:c + 1, 4:16] = 1
        for k in range(5):
            im[c - 1 - k, 4 + k] = im[c + k, 4 + k] = 1
        if kind == 1:
            im = im[:, ::-1].copy()
    elif kind == 2:                        # arrow up
        im[4:16, c - 1:c + 1] = 1
        for k in range(5):
            im[4 + k, c - 1 - k] = im[4 + k, c + k] = 1
    elif kind == 3:                        # filled octagon
        yy, xx = np.mgrid[:S, :S]
        im[(abs(yy - c) + abs(xx - c) < 10) & (abs(yy - c) < 7) & (abs(xx - c) < 7)] = 1
    elif kind in (4, 5):                   # diagonal arrow pointing down
        for k in range(10):
            im[5 + k, 14 - k] = im[5 + k, 13 - k] = 1
        im[9:15, 4] = im[14, 4:10] = 1
        if kind == 5:
            im = im[:, ::-1].copy()
    elif kind == 6:                        # disc with bar
        yy, xx = np.mgrid[:S, :S]
        im[(yy - c) ** 2 + (xx - c) ** 2 < 49] = 1
        im[c - 1:c + 2, 5:15] = 0
    else:                                  # triangle standing on its tip
        for k in range(11):
            im[4 + k, 4 + k // 2 + 1:16 - k // 2] = 1
    im = np.roll(im, (rng.integers(-2, 3), rng.integers(-2, 3)), (0, 1))
    im = im * rng.uniform(0.5, 1.0) + rng.normal(0, 0.35, im.shape)
    return im.astype(np.float32)


def collect(n, rng):
    y = rng.integers(0, len(SIGNS), n)
    x = np.stack([draw(k, rng) for k in y])[:, None]
    return torch.tensor(x), torch.tensor(y)


def augment(x):
    """mirror half of the pictures, jitter brightness and position a little"""
    flip = torch.rand(len(x)) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    x = x * (0.8 + 0.4 * torch.rand(len(x), 1, 1, 1))
    dx, dy = random.randint(-1, 1), random.randint(-1, 1)
    return torch.roll(x, (dy, dx), (2, 3))


rng = np.random.default_rng(seed)
xtr, ytr = collect(3000, rng)
xva, yva = collect(1200, rng)
m, s = xtr.mean(), xtr.std()
xtr, xva = (xtr - m) / s, (xva - m) / s

model = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(24 * 25, 64), nn.ReLU(), nn.Linear(64, len(SIGNS)),
)
opt = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, args.epochs)

for ep in range(args.epochs):
    model.train()
    perm = torch.randperm(len(xtr))
    losses = []
    for idx in perm.split(args.bs):
        loss = F.cross_entropy(model(augment(xtr[idx])), ytr[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    sched.step()
    model.eval()
    with torch.no_grad():
        acc = (model(xva).argmax(1) == yva).float().mean().item()
    print("[%02d] train loss %.4f | val acc %.4f" % (ep + 1, np.mean(losses), acc))
