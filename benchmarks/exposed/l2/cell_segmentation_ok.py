"""Small U-Net on synthetic microscopy-like images (bright cells, uneven background)."""
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

SIZE = 32


def make_sample(rng):
    yy, xx = np.mgrid[:SIZE, :SIZE]
    img = 0.3 * rng.random() * (xx / SIZE) + 0.25 * rng.random() * (yy / SIZE)
    mask = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(rng.integers(1, 4)):
        cx, cy = rng.uniform(5, SIZE - 5, 2)
        a, b = rng.uniform(3, 7, 2)
        th = rng.uniform(0, np.pi)
        u = (xx - cx) * np.cos(th) + (yy - cy) * np.sin(th)
        v = -(xx - cx) * np.sin(th) + (yy - cy) * np.cos(th)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1
        img = np.where(inside, img + rng.uniform(0.25, 0.6), img)
        mask[inside] = 1
    img = img + 0.15 * rng.standard_normal(img.shape)
    return img.astype(np.float32)[None], mask[None]


class RandomFlipRotate:
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, t):
        if random.random() < self.p:
            t = torch.flip(t, dims=[-1])
        if random.random() < self.p:
            t = torch.flip(t, dims=[-2])
        return torch.rot90(t, random.randint(0, 3), dims=[-2, -1])


class CellDataset(Dataset):
    def __init__(self, n, seed, transform=None):
        rng = np.random.default_rng(seed)
        self.data = [make_sample(rng) for _ in range(n)]
        self.transform = transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        image, mask = (torch.from_numpy(a) for a in self.data[i])
        if self.transform is not None:
            both = self.transform(torch.cat([image, mask]))
            image, mask = both[:1], both[1:]
        return image, mask


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                         nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.d1, self.d2 = block(1, c), block(c, 2 * c)
        self.mid = block(2 * c, 4 * c)
        self.u2, self.u1 = block(6 * c, 2 * c), block(3 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        m = self.mid(F.max_pool2d(b, 2))
        b = self.u2(torch.cat([F.interpolate(m, scale_factor=2), b], 1))
        a = self.u1(torch.cat([F.interpolate(b, scale_factor=2), a], 1))
        return self.out(a)


train_ds = CellDataset(240, SEED, transform=RandomFlipRotate())
val_ds = CellDataset(100, SEED + 1000)
train_loader = DataLoader(train_ds, batch_size=16, shuffle=True)
val_loader = DataLoader(val_ds, batch_size=50)

net = UNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
loss_fn = nn.BCEWithLogitsLoss()

for epoch in range(12):
    net.train()
    tot = 0
    for img, msk in train_loader:
        loss = loss_fn(net(img), msk)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item()
    net.eval()
    inter = union = 0
    with torch.no_grad():
        for img, msk in val_loader:
            p = torch.sigmoid(net(img)) > 0.5
            inter += (p & (msk > 0.5)).sum().item()
            union += (p | (msk > 0.5)).sum().item()
    print("epoch %2d | train bce %.4f | val IoU %.4f" % (epoch, tot / len(train_loader), inter / max(union, 1)))
