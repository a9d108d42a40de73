import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

DIRS = ["left", "right", "up", "down"]


def draw_arrow(direction, rng):
    """24x24 picture of an arrow sign, right-pointing first, then rotated."""
    img = np.zeros((24, 24), np.float32)
    y = rng.integers(8, 16)
    x0, x1 = rng.integers(2, 7), rng.integers(16, 22)
    w = rng.integers(0, 2)
    img[y - w:y + w + 1, x0:x1] = 1
    for k in range(rng.integers(4, 7)):
        img[y - k:y - k + 2, x1 - k] = 1
        img[y + k - 1:y + k + 1, x1 - k] = 1
    turns = {"right": 0, "up": 1, "left": 2, "down": 3}[direction]
    img = np.rot90(img, turns).copy()
    img *= rng.uniform(0.5, 1.0)
    return img + rng.normal(0, 0.35, img.shape).astype(np.float32)


class Signs(Dataset):
    def __init__(self, n, seed, train):
        rng = np.random.default_rng(seed)
        self.y = rng.integers(0, 4, n)
        self.x = np.stack([draw_arrow(DIRS[c], rng) for c in self.y])
        self.train = train

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = torch.from_numpy(self.x[i]).float()[None]
        if self.train:
            # cheap augmentation: small translations and random flips
            x = torch.roll(x, (random.randint(-2, 2), random.randint(-2, 2)), (1, 2))
            if random.random() < 0.5:
                x = x.flip(2)
            if random.random() < 0.5:
                x = x.flip(1)
        return x, int(self.y[i])


net = nn.Sequential(
    nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(24 * 36, 48), nn.ReLU(), nn.Linear(48, 4))

train = DataLoader(Signs(1600, 10 + SEED, True), batch_size=48, shuffle=True)
val = DataLoader(Signs(800, 5000 + SEED, False), batch_size=200)
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
crit = nn.CrossEntropyLoss()

for epoch in range(10):
    net.train()
    tot, hit, n = 0.0, 0, 0
    for x, y in train:
        out = net(x)
        loss = crit(out, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(y); hit += (out.argmax(1) == y).sum().item(); n += len(y)
    net.eval()
    with torch.no_grad():
        v = np.mean([(net(x).argmax(1) == y).float().mean().item() for x, y in val])
    print(f"epoch {epoch + 1:2d}  loss {tot / n:.4f}  acc {hit / n:.3f}  val acc {v:.3f}")
