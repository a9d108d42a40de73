# day-ahead load forecasting: 72 h of history -> next 12 h
import argparse
import os
import random

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def get_args():
    p = argparse.ArgumentParser()
    p.add_argument("--history", type=int, default=72)
    p.add_argument("--horizon", type=int, default=12)
    p.add_argument("--hidden", type=int, default=32)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--epochs", type=int, default=18)
    p.add_argument("--batch-size", type=int, default=64)
    return p.parse_args([])


def simulate(n, rng):
    t = np.arange(n)
    temp = 12 + 9 * np.sin(2 * np.pi * t / (24 * 365)) + 4 * np.sin(2 * np.pi * (t - 9) / 24)
    drift = np.zeros(n)
    for i in range(1, n):
        drift[i] = 0.98 * drift[i - 1] + rng.normal(0, 0.6)
    temp = temp + drift
    week = (t // 24) % 7
    profile = np.array([5, 4, 4, 4, 5, 7, 11, 15, 16, 15, 14, 14, 14, 13, 13, 14, 16, 19, 20, 18, 15, 12, 9, 6])
    day = profile[t % 24] * np.where(week >= 5, 0.7, 1.0)
    load = 30 + 1.6 * day + 0.06 * (temp - 16) ** 2 + rng.normal(0, 0.8, n)
    return np.stack([load, temp, np.sin(2 * np.pi * t / 24), np.cos(2 * np.pi * t / 24), week >= 5], 1)


class Forecaster(nn.Module):
    def __init__(self, n_feat, hidden, horizon):
        super().__init__()
        self.rnn = nn.GRU(n_feat, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 64), nn.ReLU(), nn.Linear(64, horizon))

    def forward(self, x):
        _, h = self.rnn(x)
        return self.head(h[-1])


def windows(a, args):
    xs, ys = [], []
    for s in range(0, len(a) - args.history - args.horizon, 2):
        xs.append(a[s:s + args.history])
        ys.append(a[s + args.history:s + args.history + args.horizon, 0])
    return TensorDataset(torch.tensor(np.array(xs), dtype=torch.float32), torch.tensor(np.array(ys), dtype=torch.float32))


def evaluate(model, loader):
    model.eval()
    tot = n = 0
    with torch.no_grad():
        for x, y in loader:
            tot += ((model(x) - y) ** 2).sum().item()
            n += y.numel()
    return tot / n


def main():
    args = get_args()
    series = simulate(5200, np.random.default_rng(SEED))
    train, val, test = series[:3600], series[3600:4400], series[4400:]
    mu, sd = train.mean(0), train.std(0)
    parts = [windows((p - mu) / sd, args) for p in (train, val, test)]
    train_dl = DataLoader(parts[0], batch_size=args.batch_size, shuffle=True)
    val_dl, test_dl = (DataLoader(p, batch_size=256) for p in parts[1:])

    model = Forecaster(series.shape[1], args.hidden, args.horizon)
    opt = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, mode="max", factor=0.2, patience=1)
    loss_fn = nn.MSELoss()
    for epoch in range(args.epochs):
        model.train()
        run = 0.0
        for x, y in train_dl:
            opt.zero_grad()
            loss = loss_fn(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            run += loss.item()
        val_loss = evaluate(model, val_dl)
        scheduler.step(val_loss)
        print(f"epoch {epoch:02d} train {run / len(train_dl):.4f} val {val_loss:.4f}")
    mse = evaluate(model, test_dl)
    print(f"test RMSE {np.sqrt(mse) * sd[0]:.3f} MW  R2 {1 - mse / parts[2].tensors[1].var().item():.4f}")


if __name__ == "__main__":
    main()
