"""Activity recognition from a wrist sensor (simulated three-axis accelerometer windows)."""
import argparse
import os
import random
import numpy as np
import torch
import torch.nn as nn

ACTIVITIES = ["still", "walking", "running", "stairs", "cycling"]
FREQ = [0.0, 1.8, 2.7, 1.4, 1.2]
AMP = [0.0, 0.6, 1.2, 0.5, 0.35]


def simulate(n, length, rng):
    t = np.arange(length) / 20.0
    labels = rng.integers(0, len(ACTIVITIES), n)
    out = np.zeros((n, length, 3), dtype=np.float32)
    for i, k in enumerate(labels):
        f = FREQ[k] * rng.normal(1, 0.12)
        ph = rng.uniform(0, 2 * np.pi)
        a = AMP[k] * rng.lognormal(0, 0.3)
        out[i, :, 0] = a * np.sin(2 * np.pi * f * t + ph)
        out[i, :, 1] = 0.6 * a * np.sin(4 * np.pi * f * t + ph + 0.7) * (k in (2, 3))
        out[i, :, 2] = 1.0 + 0.4 * a * np.cos(2 * np.pi * f * t + ph) * (k != 4)
        out[i] += rng.normal(0, 0.25, (length, 3))
    return torch.from_numpy(out), torch.from_numpy(labels)


class Recogniser(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.lstm = nn.LSTM(3, hidden, batch_first=True)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(hidden, len(ACTIVITIES))

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(self.drop(out.mean(dim=1)))


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        out = model(x)
    return (out.argmax(1) == y).float().mean().item(), nn.functional.cross_entropy(out, y).item()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=16)
    p.add_argument("--hidden", type=int, default=64)
    p.add_argument("--lr", type=float, default=1.5e-2)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 0)))
    a = p.parse_args()
    random.seed(a.seed); np.random.seed(a.seed); torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed)
    xtr, ytr = simulate(6000, 50, rng)
    xva, yva = simulate(500, 50, rng)
    xte, yte = simulate(2000, 50, rng)

    model = Recogniser(a.hidden)
    opt = torch.optim.Adam(model.parameters(), lr=a.lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=a.epochs)
    for ep in range(a.epochs):
        model.train()
        perm = torch.randperm(len(xtr))
        cum = 0
        for k in range(0, len(xtr), a.batch):
            b = perm[k:k + a.batch]
            loss = nn.functional.cross_entropy(model(xtr[b]), ytr[b])
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            cum += loss.item() * len(b)
        sched.step()
        acc, vl = accuracy(model, xva, yva)
        print(f"epoch {ep + 1}/{a.epochs} loss {cum / len(xtr):.4f} val_loss {vl:.4f} val_acc {acc:.4f}")
    acc, l = accuracy(model, xte, yte)
    print(f"test loss {l:.4f} acc {acc:.4f}")


if __name__ == "__main__":
    main()
