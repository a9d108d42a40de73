# small U-Net for cell masks, 40x40 crops
import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

S = 40


def render(rng):
    yy, xx = np.mgrid[0:S, 0:S]
    img = np.full((S, S), 0.25 + 0.1 * rng.rand())
    img += 0.1 * (xx / S - 0.5) * rng.randn()
    mask = np.zeros((S, S))
    for _ in range(rng.randint(2, 5)):
        cy, cx = rng.uniform(5, S - 5, 2)
        a, b, th = rng.uniform(3, 6), rng.uniform(3, 6), rng.uniform(0, np.pi)
        u = (xx - cx) * np.cos(th) + (yy - cy) * np.sin(th)
        v = -(xx - cx) * np.sin(th) + (yy - cy) * np.cos(th)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1
        img[inside] += rng.uniform(0.2, 0.45)
        mask[inside] = 1
    for _ in range(rng.randint(1, 4)):          # debris: thin bright streaks, not cells
        y0, x0, ang = rng.uniform(4, S - 4), rng.uniform(4, S - 4), rng.uniform(0, np.pi)
        for s in np.linspace(-6, 6, 40):
            r, c = int(y0 + s * np.sin(ang)), int(x0 + s * np.cos(ang))
            if 0 <= r < S and 0 <= c < S and mask[r, c] == 0:
                img[r, c] += 0.35
    img += 0.08 * rng.randn(S, S)
    return img.astype("float32"), mask.astype("float32")


class CellDataset(Dataset):
    def __init__(self, n, seed, augment=False):
        rng = np.random.RandomState(seed)
        self.items = [render(rng) for _ in range(n)]
        self.augment = augment

    def __len__(self):
        return len(self.items)

    def transform(self, image):
        if random.random() < 0.5:
            image = torch.flip(image, dims=[-1])
        if random.random() < 0.5:
            image = torch.flip(image, dims=[-2])
        return image

    def __getitem__(self, idx):
        image, mask = self.items[idx]
        image = (torch.from_numpy(image)[None] - 0.4) / 0.2
        mask = torch.from_numpy(mask)[None]
        if self.augment:
            image = self.transform(image)
        return image, mask


def double_conv(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True),
                         nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2, self.mid = double_conv(1, 8), double_conv(8, 16), double_conv(16, 32)
        self.up2, self.u2 = nn.ConvTranspose2d(32, 16, 2, 2), double_conv(32, 16)
        self.up1, self.u1 = nn.ConvTranspose2d(16, 8, 2, 2), double_conv(16, 8)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        c = self.mid(F.max_pool2d(b, 2))
        y = self.u2(torch.cat([self.up2(c), b], 1))
        y = self.u1(torch.cat([self.up1(y), a], 1))
        return self.out(y)


def iou(net, loader):
    net.eval()
    inter = union = 0
    with torch.no_grad():
        for x, m in loader:
            p = net(x) > 0
            inter += (p & (m > 0.5)).sum().item()
            union += (p | (m > 0.5)).sum().item()
    return inter / max(union, 1)


train_dl = DataLoader(CellDataset(400, seed + 11, augment=True), batch_size=16, shuffle=True)
val_dl = DataLoader(CellDataset(150, seed + 911), batch_size=50)
net = UNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
bce = nn.BCEWithLogitsLoss()

for ep in range(6):
    net.train()
    tot = 0
    for x, m in train_dl:
        opt.zero_grad()
        loss = bce(net(x), m)
        loss.backward()
        opt.step()
        tot += loss.item()
    print("epoch %d train bce %.4f val IoU %.4f" % (ep + 1, tot / len(train_dl), iou(net, val_dl)))
