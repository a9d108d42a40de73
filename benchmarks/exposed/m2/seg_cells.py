import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
S = 32


def draw(rng):
    """bright elliptic cells and thin distractor lines on an uneven background"""
    yy, xx = np.mgrid[:S, :S]
    mask = np.zeros((S, S), bool)
    for _ in range(rng.randint(1, 4)):
        cx, cy = rng.uniform(5, S - 5, 2)
        a, b, th = rng.uniform(3, 7), rng.uniform(2.5, 5), rng.uniform(0, np.pi)
        u = (xx - cx) * np.cos(th) + (yy - cy) * np.sin(th)
        v = -(xx - cx) * np.sin(th) + (yy - cy) * np.cos(th)
        mask |= (u / a) ** 2 + (v / b) ** 2 < 1
    img = 0.25 * np.sin(xx / rng.uniform(5, 12)) + mask * rng.uniform(0.7, 1.2)
    r = rng.randint(S)
    img[r] += 0.9
    img = img + 0.35 * rng.randn(S, S)
    return img.astype(np.float32), mask.astype(np.float32)


class Cells(Dataset):
    def __init__(self, n, seed, augment=False):
        rng = np.random.RandomState(seed)
        self.items = [draw(rng) for _ in range(n)]
        self.augment = augment

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        img, m = self.items[i]
        if self.augment:
            # the same flip for picture and mask
            if random.random() < 0.5:
                img, m = img[:, ::-1], m[:, ::-1]
            if random.random() < 0.5:
                img, m = img[::-1], m[::-1]
            img = img * random.uniform(0.9, 1.1)
        return torch.from_numpy(np.ascontiguousarray(img))[None], torch.from_numpy(np.ascontiguousarray(m))[None]


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class TinyUNet(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.d1, self.d2, self.d3 = block(1, c), block(c, 2 * c), block(2 * c, 4 * c)
        self.u2, self.u1 = block(6 * c, 2 * c), block(3 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        z = self.d3(F.max_pool2d(b, 2))
        z = self.u2(torch.cat([F.interpolate(z, scale_factor=2), b], 1))
        z = self.u1(torch.cat([F.interpolate(z, scale_factor=2), a], 1))
        return self.out(z)


def dice_bce(logit, m):
    p = logit.sigmoid()
    inter = (p * m).sum((1, 2, 3))
    dice = (2 * inter + 1) / (p.sum((1, 2, 3)) + m.sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logit, m) + (1 - dice).mean()


train = DataLoader(Cells(192, SEED + 100, augment=True), batch_size=16, shuffle=True, drop_last=True)
test = DataLoader(Cells(96, SEED + 900), batch_size=64)
net = TinyUNet()
EPOCHS = 12
opt = torch.optim.Adam(net.parameters(), lr=1.5e-2)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 1.5e-2, total_steps=EPOCHS * len(train))
for epoch in range(EPOCHS):
    net.train()
    run = []
    for img, m in train:
        opt.zero_grad()
        loss = dice_bce(net(img), m)
        loss.backward()
        opt.step()
        sched.step()
        run.append(loss.item())
    if epoch % 3 == 2:
        print(f"[{epoch + 1}/{EPOCHS}] loss {np.mean(run):.4f}")

net.eval()
inter = union = 0
with torch.no_grad():
    for img, m in test:
        p = net(img) > 0
        inter += (p & (m > 0.5)).sum().item()
        union += (p | (m > 0.5)).sum().item()
print(f"IoU {inter / union:.4f}")
