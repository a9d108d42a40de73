"""
Toy behavioural cloning: predict the steering value from a front-camera picture.
Pictures (20x32, one channel) are drawn here: two lane lines that bend to one side,
with glare, blobs and sensor noise.
"""
import os
import random

import numpy as np
import torch
import torch.nn as nn


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


def draw_roads(n, rng, h=20, w=32):
    steer = rng.uniform(-1, 1, n)
    offset = rng.normal(0, 1.5, n)
    rows = np.arange(h)
    far = (h - 1 - rows) / (h - 1)                       # 0 at the bumper, 1 at the horizon
    cols = np.arange(w)
    centre = w / 2 - 0.5 + offset[:, None] * (1 - far) + 11 * steer[:, None] * far ** 2
    half = 9 * (1 - 0.75 * far)
    pics = np.zeros((n, h, w))
    for side in (-1, 1):
        line = (centre + side * half)[:, :, None]
        pics += np.exp(-0.5 * ((cols - line) / 0.9) ** 2)
    pics += 0.25 * rng.normal(size=pics.shape)
    for i in range(n):                                   # one bright blob somewhere
        r, c = rng.integers(0, h - 3), rng.integers(0, w - 3)
        pics[i, r:r + 3, c:c + 3] += 0.7
    target = steer + 0.05 * rng.normal(size=n)
    return (torch.tensor(pics, dtype=torch.float32).unsqueeze(1) - 0.15,
            torch.tensor(target, dtype=torch.float32).unsqueeze(1))


def augment(x, y):
    """Left-right mirror for half of the pictures, plus a little brightness jitter."""
    flip = torch.rand(len(x)) < 0.5
    x, y = x.clone(), y.clone()
    x[flip] = x[flip].flip(-1)
    x = x + 0.1 * torch.randn(len(x), 1, 1, 1)
    return x, y


def build():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ELU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ELU(),
        nn.Flatten(),
        nn.Linear(16 * 5 * 8, 32), nn.ELU(),
        nn.Linear(32, 1),
    )


def main():
    seed = int(os.environ.get("SEED", "0"))
    set_seed(seed)
    rng = np.random.default_rng(seed)
    x_train, y_train = draw_roads(2400, rng)
    x_test, y_test = draw_roads(800, rng)

    model = build()
    optim = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    epochs, bs = 14, 40
    decay = torch.optim.lr_scheduler.ExponentialLR(optim, gamma=0.8)
    huber = nn.SmoothL1Loss(beta=0.5)

    for epoch in range(epochs):
        model.train()
        perm = torch.randperm(len(x_train))
        acc = 0.0
        for k in range(0, len(perm), bs):
            xb, yb = augment(x_train[perm[k:k + bs]], y_train[perm[k:k + bs]])
            optim.zero_grad()
            loss = huber(model(xb), yb)
            loss.backward()
            optim.step()
            acc += loss.item()
        decay.step()
        model.eval()
        with torch.no_grad():
            err = (model(x_test) - y_test).pow(2).mean()
        r2 = 1 - err / y_test.var(unbiased=False)
        print(f"epoch {epoch + 1:2d}: train huber {acc / (len(perm) // bs):.4f}   "
              f"test rmse {err.sqrt():.4f}   test R2 {r2:.4f}")


if __name__ == "__main__":
    main()
