# segmentation of bright elongated cells in noisy micrographs (synthetic)
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
    yy, xx = np.mgrid[:S, :S]
    mask = np.zeros((S, S), bool)
    for _ in range(rng.integers(2, 5)):
        cy, cx = rng.uniform(4, S - 4, 2)
        a, b, th = rng.uniform(3, 6), rng.uniform(2, 3), rng.uniform(0, np.pi)
        u = (xx - cx) * np.cos(th) + (yy - cy) * np.sin(th)
        v = -(xx - cx) * np.sin(th) + (yy - cy) * np.cos(th)
        mask |= (u / a) ** 2 + (v / b) ** 2 < 1
    img = mask * rng.uniform(0.5, 0.9) + rng.normal(0, 0.45, (S, S)) + 0.3 * (xx / S)
    return img.astype(np.float32), mask.astype(np.float32)


class Cells(Dataset):
    def __init__(self, n, seed, augment):
        rng = np.random.default_rng(seed)
        self.items = [draw(rng) for _ in range(n)]
        self.augment = augment

    def __len__(self):
        return len(self.items)

    def transform(self, *arrays):
        if self.augment:
            if random.random() < 0.5:
                arrays = [a[:, ::-1] for a in arrays]
            if random.random() < 0.5:
                arrays = [a[::-1] for a in arrays]
        return [torch.from_numpy(a.copy())[None] for a in arrays]

    def __getitem__(self, i):
        img, mask = self.items[i]
        return self.transform(img, mask)


class TinyUNet(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        block = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(),
                                           nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
        self.d1, self.d2, self.u1 = block(1, c), block(c, 2 * c), block(3 * c, c)
        self.head = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        b = F.interpolate(b, scale_factor=2, mode="nearest")
        return self.head(self.u1(torch.cat([a, b], 1)))


train_dl = DataLoader(Cells(500, SEED, True), batch_size=20, shuffle=True)
test_dl = DataLoader(Cells(150, SEED + 1000, False), batch_size=50)
net = TinyUNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)

for epoch in range(10):
    net.train()
    tot = 0
    for x, m in train_dl:
        loss = F.binary_cross_entropy_with_logits(net(x), m)
        opt.zero_grad(); loss.backward(); opt.step()
        tot += loss.item()
    net.eval()
    inter = union = 0
    with torch.no_grad():
        for x, m in test_dl:
            p = net(x) > 0
            inter += (p & (m > 0)).sum().item()
            union += (p | (m > 0)).sum().item()
    print(f"epoch {epoch + 1} bce {tot / len(train_dl):.4f} test IoU {inter / max(union, 1):.4f}")
