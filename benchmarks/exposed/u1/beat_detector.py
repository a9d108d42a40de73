"""Find heartbeat strips that contain an early broad beat (about one in ten)."""
import logging
import os
import random
from math import log

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import nn, optim

logging.basicConfig(level=logging.INFO, format="%(message)s")
out = logging.getLogger("beats").info
S = int(os.environ.get("SEED", 0))
random.seed(S)
np.random.seed(S)
torch.manual_seed(S)
LEN, PRIOR = 160, 0.1


def strip(sick):
    t = np.arange(LEN)
    x = np.zeros(LEN)
    gap = np.random.uniform(26, 36)
    pos = np.random.uniform(4, 14)
    beats = []
    while pos < LEN - 8:
        beats.append(pos)
        pos += gap * np.random.normal(1, 0.04)
    odd = np.random.randint(1, len(beats)) if sick else -1
    for i, b in enumerate(beats):
        if i == odd:
            b, w, a = b - 0.25 * gap, np.random.uniform(3.0, 4.5), np.random.uniform(0.8, 1.3)
        else:
            w, a = np.random.uniform(1.2, 2.0), np.random.uniform(0.8, 1.3)
        x += a * np.exp(-0.5 * ((t - b) / w) ** 2)
        x += 0.25 * np.exp(-0.5 * ((t - b - 9) / 3) ** 2)
    x += 0.2 * np.sin(2 * np.pi * t / np.random.uniform(60, 200) + np.random.uniform(0, 6))
    return x + np.random.normal(0, 0.2, LEN)


def make(n):
    y = (np.random.rand(n) < PRIOR).astype(np.float32)
    x = np.stack([strip(v) for v in y]).astype(np.float32)
    return torch.from_numpy((x - 0.25) / 0.45)[:, None], torch.from_numpy(y)


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(16, 32, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
            nn.Conv1d(32, 32, 7, padding=3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten())
        self.head = nn.Linear(32, 1)
        for m in self.modules():
            if isinstance(m, (nn.Conv1d, nn.Linear)):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                # start from the rare-event prior, as in focal-loss detectors
                nn.init.constant_(m.bias, -log((1 - 0.01) / 0.01))

    def forward(self, x):
        return self.head(self.features(x)).squeeze(1)


def main():
    xa, ya = make(5000)
    xb, yb = make(2000)
    net = Detector()
    opt = optim.RMSprop(net.parameters(), lr=1e-3)
    crit = nn.BCEWithLogitsLoss()
    for epoch in range(10):
        tot = 0
        for r in torch.randperm(len(ya)).split(64):
            opt.zero_grad()
            loss = crit(net(xa[r]), ya[r])
            loss.backward()
            opt.step()
            tot += loss.item() * len(r)
        with torch.no_grad():
            ap = average_precision_score(yb.numpy(), net(xb).numpy())
        out("epoch %d loss %.4f average precision %.4f", epoch + 1, tot / len(ya), ap)


if __name__ == "__main__":
    main()
