"""Activity recognition from accelerometer windows with a transformer encoder."""
import argparse
import math
import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader


def synth_windows(n, T, rng):
    """Three axes; each activity is a motif placed somewhere in the window, plus sway and noise."""
    t = np.arange(T)
    X = np.zeros((n, T, 3), np.float32)
    y = rng.integers(0, 5, n)
    for i in range(n):
        for ax in range(3):
            X[i, :, ax] = 0.5 * np.sin(2 * np.pi * t / rng.uniform(15, 40) + rng.uniform(0, 6.3))
        a = rng.integers(2, T - 22)
        b = a + rng.integers(8, 14)
        bump = lambda c, w: np.exp(-0.5 * ((t - c) / w) ** 2)
        if y[i] == 0:       # step on axis 0, then on axis 1
            X[i, :, 0] += 2 * bump(a, 1.5); X[i, :, 1] += 2 * bump(b, 1.5)
        elif y[i] == 1:     # the other order
            X[i, :, 1] += 2 * bump(a, 1.5); X[i, :, 0] += 2 * bump(b, 1.5)
        elif y[i] == 2:     # both at once
            X[i, :, 0] += 2 * bump(a, 1.5); X[i, :, 1] += 2 * bump(a, 1.5)
        elif y[i] == 3:     # double impact on axis 2
            X[i, :, 2] += 2 * bump(a, 1.5) + 2 * bump(b, 1.5)
        else:               # impact and rebound
            X[i, :, 2] += 2 * bump(a, 1.5) - 2 * bump(b, 1.5)
    X += 0.3 * rng.standard_normal(X.shape)
    return torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.long)


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=200):
        super().__init__()
        pos = torch.arange(max_len).unsqueeze(1)
        div = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(1, max_len, d_model)
        pe[0, :, 0::2] = torch.sin(pos * div)
        pe[0, :, 1::2] = torch.cos(pos * div)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[:, :x.size(1)]


class TransformerClassifier(nn.Module):
    def __init__(self, n_features, n_classes, d_model=32, nhead=4, num_layers=2):
        super().__init__()
        self.input_proj = nn.Linear(n_features, d_model)
        self.pos = PositionalEncoding(d_model)
        layer = nn.TransformerEncoderLayer(d_model, nhead, dim_feedforward=64, dropout=0.1)
        self.encoder = nn.TransformerEncoder(layer, num_layers)
        self.head = nn.Linear(d_model, n_classes)

    def forward(self, x):                     # x: (batch, time, features)
        h = self.pos(self.input_proj(x))
        h = self.encoder(h)
        return self.head(h.mean(dim=1))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=10)
    ap.add_argument("--batch-size", type=int, default=64)
    ap.add_argument("--lr", type=float, default=2e-3)
    args = ap.parse_args()

    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    Xtr, ytr = synth_windows(1400, 48, rng)
    Xva, yva = synth_windows(500, 48, rng)
    train = DataLoader(TensorDataset(Xtr, ytr), batch_size=args.batch_size, shuffle=True)
    valid = DataLoader(TensorDataset(Xva, yva), batch_size=args.batch_size)

    model = TransformerClassifier(3, 5)
    optim = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4)
    ce = nn.CrossEntropyLoss()
    for ep in range(args.epochs):
        model.train()
        losses = []
        for xb, yb in train:
            optim.zero_grad()
            loss = ce(model(xb), yb)
            loss.backward()
            optim.step()
            losses.append(loss.item())
        model.eval()
        hits = 0
        with torch.no_grad():
            for xb, yb in valid:
                hits += (model(xb).argmax(1) == yb).sum().item()
        print("epoch {:2d}  loss {:.4f}  val_acc {:.3f}".format(ep + 1, np.mean(losses), hits / len(yva)))


if __name__ == "__main__":
    main()
