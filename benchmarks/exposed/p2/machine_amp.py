"""Classify the state of a rotating machine from two raw accelerometer channels (ADC counts), mixed precision."""
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

STATES = ["ok", "unbalance", "bearing", "loose"]
LENGTH = 256


class Vibration(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        t = np.arange(LENGTH)
        self.y = rng.integers(0, len(STATES), n)
        x = np.zeros((n, 2, LENGTH))
        for i, k in enumerate(self.y):
            f, ph, load = rng.uniform(0.02, 0.03), rng.uniform(0, 6.28), rng.uniform(0.7, 1.4)
            for c in range(2):
                s = (1.0 if k != 1 else 1.7) * np.sin(2 * np.pi * f * t + ph + c * 1.57)
                if k == 2:
                    s += 0.8 * np.exp(-((t + rng.integers(40)) % 37) / 4.0) * np.sin(2 * np.pi * 0.21 * t)
                if k == 3:
                    s += 0.5 * np.sin(4 * np.pi * f * t + ph) + 0.3 * np.sin(6 * np.pi * f * t + ph)
                x[i, c] = load * s + 0.4 * rng.normal(size=LENGTH)
        self.x = (40 * x).astype("float32")

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class BandEnergyNet(nn.Module):
    """learned filter bank -> log energy per band -> MLP"""

    def __init__(self, bands=16):
        super().__init__()
        self.bank = nn.Conv1d(2, bands, 24, stride=4, bias=False)
        self.mix = nn.Conv1d(bands, bands, 1)
        self.norm = nn.BatchNorm1d(bands)
        self.fc = nn.Sequential(nn.Linear(bands, 64), nn.ReLU(), nn.Linear(64, len(STATES)))

    def forward(self, x):
        h = self.mix(self.bank(x))
        energy = (h * h).sum(dim=-1)
        return self.fc(self.norm(torch.log(energy + 1e-3)))


def run_epoch(model, loader, dtype, opt=None):
    model.train(opt is not None)
    loss_sum, right, count = 0.0, 0, 0
    with torch.set_grad_enabled(opt is not None):
        for x, y in loader:
            with torch.autocast("cpu", dtype=dtype):
                out = model(x)
                loss = F.cross_entropy(out, y)
            if opt is not None:
                opt.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                opt.step()
            loss_sum += loss.item() * len(y)
            right += (out.argmax(1) == y).sum().item()
            count += len(y)
    return loss_sum / count, right / count


def main():
    train = DataLoader(Vibration(1600, SEED + 1), batch_size=50, shuffle=True)
    test = DataLoader(Vibration(600, SEED + 777), batch_size=200)
    model = BandEnergyNet()
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 12)
    amp_dtype = torch.float16
    for epoch in range(12):
        tr = run_epoch(model, train, amp_dtype, opt)
        sched.step()
        te = run_epoch(model, test, amp_dtype)
        print("epoch %2d | train loss %.4f acc %.3f | test loss %.4f acc %.3f" % (epoch + 1, *tr, *te))


if __name__ == "__main__":
    main()
