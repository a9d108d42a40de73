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
torch.set_num_threads(1)

SIZE = 32


def make_field(rng):
    """One microscope crop: a few bright ellipses over an uneven background."""
    yy, xx = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    img = 0.2 + 0.15 * np.sin(xx / 9 + rng.uniform(0, 6)) * np.cos(yy / 11 + rng.uniform(0, 6))
    mask = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(rng.integers(1, 5)):
        cx, cy = rng.uniform(3, SIZE - 3, 2)
        a, b = rng.uniform(2.5, 6, 2)
        t = rng.uniform(0, np.pi)
        u = (xx - cx) * np.cos(t) + (yy - cy) * np.sin(t)
        v = -(xx - cx) * np.sin(t) + (yy - cy) * np.cos(t)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1
        img = np.where(inside, img + rng.uniform(0.15, 0.4), img)
        mask[inside] = 1
    img = img + rng.normal(0, 0.12, img.shape)
    return img.astype(np.float32)[None], mask[None]


class RandomFlip:
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, t):
        if random.random() < self.p:
            t = t.flip(-1)
        if random.random() < self.p:
            t = t.flip(-2)
        return t


class NucleiDataset(Dataset):
    def __init__(self, images, masks, transform=None):
        self.images, self.masks, self.transform = images, masks, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = torch.from_numpy(self.images[i])
        mask = torch.from_numpy(self.masks[i])
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
        self.d1, self.d2, self.mid = block(1, c), block(c, 2 * c), block(2 * c, 4 * c)
        self.up2 = nn.ConvTranspose2d(4 * c, 2 * c, 2, stride=2)
        self.u2 = block(4 * c, 2 * c)
        self.up1 = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
        self.u1 = block(2 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        m = self.mid(F.max_pool2d(b, 2))
        x = self.u2(torch.cat([self.up2(m), b], 1))
        x = self.u1(torch.cat([self.up1(x), a], 1))
        return self.out(x)


rng = np.random.default_rng(SEED)
pairs = [make_field(rng) for _ in range(500)]
X = np.stack([p[0] for p in pairs])
M = np.stack([p[1] for p in pairs])
X = (X - X[:400].mean()) / X[:400].std()
train_loader = DataLoader(NucleiDataset(X[:400], M[:400], RandomFlip()), batch_size=10, shuffle=True)
val_loader = DataLoader(NucleiDataset(X[400:], M[400:]), batch_size=50)

model = UNet()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.BCEWithLogitsLoss()

for epoch in range(14):
    model.train()
    running = 0.0
    for img, msk in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(img), msk)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(img)
    model.eval()
    inter = union = 0.0
    with torch.no_grad():
        for img, msk in val_loader:
            pred = (model(img) > 0).float()
            inter += (pred * msk).sum().item()
            union += ((pred + msk) > 0).float().sum().item()
    print(f"epoch {epoch + 1:2d}  train bce {running / 400:.4f}  val IoU {inter / union:.4f}")
