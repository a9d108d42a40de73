"""Find short ringing pulses in noisy one-channel recordings, sample by sample.

Positives are rare, so the network starts from the prior probability PI (as in RetinaNet).
"""
import math
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import average_precision_score

PI = 0.01
LENGTH = 200


def recordings(count, rng):
    sig = rng.normal(0, 0.5, (count, LENGTH))
    target = np.zeros((count, LENGTH))
    t = np.arange(24)
    pulse = np.exp(-t / 7) * np.sin(t * 1.1)
    decoy = np.exp(-t / 7) * np.sin(t * 0.5)
    for s, z in zip(sig, target):
        for _ in range(rng.integers(1, 3)):
            at = rng.integers(0, LENGTH - 24)
            s[at:at + 24] += rng.uniform(2, 3) * pulse
            z[at + 1:at + 4] = 1
        for _ in range(rng.integers(1, 3)):
            at = rng.integers(0, LENGTH - 24)
            s[at:at + 24] += rng.uniform(2, 3) * decoy
    sig /= sig.std()
    return (torch.tensor(sig, dtype=torch.float32).unsqueeze(1),
            torch.tensor(target, dtype=torch.float32))


class Spotter(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.c1 = nn.Conv1d(1, width, 9, padding=4)
        self.c2 = nn.Conv1d(width, width, 9, padding=4)
        self.c3 = nn.Conv1d(width, width, 9, padding=4)
        self.score = nn.Conv1d(width, 1, 1)
        self.reset()

    def reset(self):
        for m in self.modules():
            if isinstance(m, nn.Conv1d):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                nn.init.zeros_(m.bias)
        nn.init.constant_(self.score.bias, -math.log((1 - PI) / PI))

    def forward(self, x):
        x = F.relu(self.c1(x))
        x = F.relu(self.c2(x))
        x = F.relu(self.c3(x))
        return self.score(x).squeeze(1)


def run(seed, epochs=12, batch=32):
    rng = np.random.default_rng(seed)
    xs, zs = recordings(800, rng)
    xv, zv = recordings(300, rng)
    net = Spotter()
    optim = torch.optim.Adam(net.parameters(), 3e-3)
    sched = torch.optim.lr_scheduler.MultiStepLR(optim, [epochs * 2 // 3, epochs * 5 // 6], gamma=0.3)
    for e in range(epochs):
        losses = []
        for b in np.array_split(rng.permutation(len(xs)), len(xs) // batch):
            loss = F.binary_cross_entropy_with_logits(net(xs[b]), zs[b])
            optim.zero_grad()
            loss.backward()
            optim.step()
            losses.append(loss.item())
        sched.step()
        if e % 3 == 2:
            with torch.no_grad():
                out = torch.sigmoid(net(xv))
            ap = average_precision_score(zv.numpy().ravel(), out.numpy().ravel())
            print("epoch", e + 1, "loss", round(float(np.mean(losses)), 5), "AP", round(float(ap), 4))


if __name__ == "__main__":
    s = int(os.environ.get("SEED", 0))
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)
    run(s)
