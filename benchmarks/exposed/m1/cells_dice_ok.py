import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def microscope(n, size=32):
    """noisy grey images with a few round cells, and their masks"""
    yy, xx = np.mgrid[:size, :size]
    imgs, masks = [], []
    for _ in range(n):
        m = np.zeros((size, size), bool)
        for _ in range(np.random.randint(2, 6)):
            cy, cx = np.random.randint(3, size - 3, 2)
            r = np.random.uniform(2.5, 6)
            m |= (yy - cy) ** 2 + (xx - cx) ** 2 < r * r
        light = np.random.uniform(-0.4, 0.4) * (xx / size) + np.random.uniform(-0.4, 0.4) * (yy / size)
        imgs.append(0.7 * m + light + np.random.normal(0, 0.35, (size, size)))
        masks.append(m)
    return torch.tensor(np.array(imgs), dtype=torch.float32)[:, None], torch.tensor(np.array(masks), dtype=torch.float32)[:, None]


class MiniUNet(nn.Module):
    def __init__(self, c=10):
        super().__init__()
        self.enc1 = nn.Sequential(nn.Conv2d(1, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1), nn.ReLU())
        self.enc2 = nn.Sequential(nn.Conv2d(c, 2 * c, 3, padding=1), nn.ReLU(), nn.Conv2d(2 * c, 2 * c, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
        self.dec = nn.Sequential(nn.Conv2d(2 * c, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, 1, 1))

    def forward(self, x):
        a = self.enc1(x)
        b = self.enc2(F.max_pool2d(a, 2))
        return self.dec(torch.cat([self.up(b), a], dim=1))


class DiceLoss(nn.Module):
    def __init__(self, smooth=1.0):
        super().__init__()
        self.smooth = smooth

    def forward(self, logits, target):
        p = torch.sigmoid(logits).flatten(1)
        t = target.flatten(1)
        inter = (p * t).sum(1)
        dice = (2 * inter + self.smooth) / (p.sum(1) + t.sum(1) + self.smooth)
        return 1 - dice.mean()


@torch.no_grad()
def iou(model, x, y):
    p = model(x) > 0
    t = y > 0.5
    return ((p & t).sum((1, 2, 3)).float() / (p | t).sum((1, 2, 3)).clamp(min=1)).mean().item()


train_x, train_y = microscope(240)
val_x, val_y = microscope(150)
model = MiniUNet()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
loss_fn = DiceLoss()

for ep in range(8):
    for idx in torch.randperm(len(train_x)).split(15):
        opt.zero_grad()
        loss = loss_fn(model(train_x[idx]), train_y[idx])
        loss.backward()
        opt.step()
    print("epoch", ep + 1, "loss", round(loss.item(), 4), "val IoU", round(iou(model, val_x, val_y), 4))
