# Pixel-wise labelling of noisy pictures: 0 background, 1 disc, 2 square.
import os
import random

import numpy as np
import torch
from torch import nn

H = W = 32
N_CLASSES = 3


def draw(n, rng):
    yy, xx = np.mgrid[:H, :W]
    images = np.zeros((n, H, W), np.float32)
    masks = np.zeros((n, H, W), np.int64)
    for i in range(n):
        for _ in range(rng.integers(2, 5)):
            cy, cx, r = rng.integers(5, H - 5), rng.integers(5, W - 5), rng.integers(4, 8)
            kind = rng.integers(1, 3)
            if kind == 1:
                inside = (yy - cy) ** 2 + (xx - cx) ** 2 <= r * r
            else:
                inside = (abs(yy - cy) <= r * 0.85) & (abs(xx - cx) <= r * 0.85)
            # discs are brighter than squares on the average, not always
            images[i][inside] = rng.normal(1.6 if kind == 1 else 0.9, 0.15)
            masks[i][inside] = kind
    images += rng.normal(0, 0.25, images.shape)
    return torch.from_numpy(images).float().unsqueeze(1), torch.from_numpy(masks)


def block(i, o, dilation):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=dilation, dilation=dilation, bias=False),
                         nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class SegNet(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.features = nn.Sequential(block(1, width, 1), block(width, width, 2),
                                      block(width, width, 4), block(width, width, 1))
        self.classifier = nn.Conv2d(width, N_CLASSES, 1)

    def forward(self, x):
        return self.classifier(self.features(x))


class Trainer:
    def __init__(self, model, lr=1e-2, epochs=12, batch=20):
        self.model, self.epochs, self.batch = model, epochs, batch
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, epochs)
        self.criterion = nn.CrossEntropyLoss()

    def loss(self, output, mask):
        # one row per pixel
        flat = output.permute(0, 2, 3, 1).contiguous().view(-1, N_CLASSES)
        return self.criterion(flat, mask.view(-1))

    def fit(self, images, masks):
        for epoch in range(self.epochs):
            self.model.train()
            total = 0.0
            for idx in torch.randperm(len(images)).split(self.batch):
                self.optimizer.zero_grad()
                loss = self.loss(self.model(images[idx]), masks[idx])
                loss.backward()
                self.optimizer.step()
                total += loss.item() * len(idx)
            self.scheduler.step()
            print("epoch", epoch + 1, "loss", round(total / len(images), 4))

    @torch.no_grad()
    def score(self, images, masks):
        self.model.eval()
        pred = self.model(images).argmax(1)
        iou = [((pred == c) & (masks == c)).sum().item() / max(1, ((pred == c) | (masks == c)).sum().item())
               for c in range(N_CLASSES)]
        return (pred == masks).float().mean().item(), float(np.mean(iou))


if __name__ == "__main__":
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    train, test = draw(300, rng), draw(150, rng)
    trainer = Trainer(SegNet())
    trainer.fit(*train)
    acc, miou = trainer.score(*test)
    print(f"test pixel accuracy {acc:.4f}  mean IoU {miou:.4f}")
