"""Hourly bike rental demand with a configurable MLP."""
import argparse
import os

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def load():
    df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
    y = np.log1p(df["bikers"].values.astype("float32"))
    df = df.drop(columns=["bikers", "casual", "registered", "day"])
    df["hr_sin"] = np.sin(2 * np.pi * df["hr"].astype(float) / 24)
    df["hr_cos"] = np.cos(2 * np.pi * df["hr"].astype(float) / 24)
    df = pd.get_dummies(df, columns=["mnth", "weathersit"], dtype=float)
    x = df.values.astype("float32")
    order = np.random.permutation(len(x))
    cut = int(0.8 * len(x))
    tr, te = order[:cut], order[cut:]
    mu, sd = x[tr].mean(0), x[tr].std(0) + 1e-6
    x = (x - mu) / sd
    ym, ys = y[tr].mean(), y[tr].std()
    y = (y - ym) / ys
    return [torch.from_numpy(a) for a in (x[tr], y[tr], x[te], y[te])]


class DemandNet(nn.Module):
    def __init__(self, n_in, width, depth):
        super().__init__()
        self.inp = nn.Linear(n_in, width)
        self.hidden = [nn.Linear(width, width) for _ in range(depth)]
        self.out = nn.Linear(width, 1)

    def forward(self, x):
        x = F.relu(self.inp(x))
        for layer in self.hidden:
            x = F.relu(layer(x))
        return self.out(x).squeeze(-1)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--width", type=int, default=32)
    p.add_argument("--depth", type=int, default=6)
    p.add_argument("--epochs", type=int, default=20)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=1e-3)
    args = p.parse_args()

    xtr, ytr, xte, yte = load()
    net = DemandNet(xtr.shape[1], args.width, args.depth)
    opt = torch.optim.Adam(net.parameters(), lr=args.lr)

    for epoch in range(args.epochs):
        net.train()
        perm = torch.randperm(len(xtr))
        losses = []
        for i in range(0, len(perm), args.batch):
            idx = perm[i:i + args.batch]
            loss = F.mse_loss(net(xtr[idx]), ytr[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        net.eval()
        with torch.no_grad():
            val = F.mse_loss(net(xte), yte).item()
        print(f"[{epoch + 1:02d}/{args.epochs}] train {np.mean(losses):.4f} val {val:.4f} val_r2 {1 - val / yte.var().item():.4f}")


if __name__ == "__main__":
    main()
