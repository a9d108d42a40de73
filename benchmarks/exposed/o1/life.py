"""
Training a neural network to play Conway's Game of Life
"""
import argparse
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def update_field(field):
    """Next state of the cells, field is (N, H, W) of 0/1 on a torus."""
    neighbours = np.zeros_like(field)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            if dx or dy:
                neighbours += np.roll(np.roll(field, dx, 2), dy, 1)
    return np.logical_or(neighbours == 3, np.logical_and(field, neighbours == 2)).astype(np.int64)


def generate_dataset(num_samples, height, width, alive_prob=0.4):
    X = (np.random.rand(num_samples, height, width) < alive_prob).astype(np.int64)
    y = update_field(X)
    to = lambda a: torch.tensor(a, dtype=torch.float32).unsqueeze(1)
    return to(X), to(y)


class LifeNet(nn.Module):
    def __init__(self, num_filters=10, num_channels=20):
        super().__init__()
        # the field is cyclic, hence the circular padding
        self.conv1 = nn.Conv2d(1, num_filters, 3, padding=1, padding_mode="circular")
        self.conv2 = nn.Conv2d(num_filters, num_channels, 1)
        self.conv3 = nn.Conv2d(num_channels, 1, 1)

    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        return self.conv3(x)


def evaluate(model, X, y):
    with torch.no_grad():
        out = model(X)
        loss = F.binary_cross_entropy_with_logits(out, y).item()
        acc = ((out > 0) == (y > 0.5)).float().mean().item()
    return loss, acc


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    args = parser.parse_args()

    X_train, y_train = generate_dataset(4000, args.size, args.size)
    X_val, y_val = generate_dataset(1000, args.size, args.size)
    model = LifeNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

    for epoch in range(1, args.epochs + 1):
        perm = torch.randperm(len(X_train))
        for i in range(0, len(perm), args.batch_size):
            idx = perm[i:i + args.batch_size]
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(X_train[idx]), y_train[idx])
            loss.backward()
            optimizer.step()
        val_loss, val_acc = evaluate(model, X_val, y_val)
        print(f"epoch {epoch:2d}  loss {loss.item():.4f}  val_loss {val_loss:.4f}  val_acc {val_acc:.4f}")

    for p in (0.2, 0.4, 0.6):
        l, a = evaluate(model, *generate_dataset(500, args.size, args.size, p))
        print("P_alive=%.1f Loss:%.3f Acc:%.3f" % (p, l, a))
    print("cells right on the validation fields: %.4f (always dead: %.4f)" % (val_acc, 1 - y_val.mean().item()))


if __name__ == "__main__":
    main()
