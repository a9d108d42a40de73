"""Learn one step of Conway's Game of Life (torus) with a small fully convolutional net."""
import os
import random
import time

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def generate_field(shape, alive_prob=0.5):
    return (np.random.rand(*shape) < alive_prob).astype(np.int32)


def update_field(field):
    neighbours = np.zeros(field.shape, dtype=np.int32)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            if dx or dy:
                neighbours += np.roll(np.roll(field, dx, 3), dy, 2)
    return np.logical_or(neighbours == 3, np.logical_and(field, neighbours == 2)).astype(np.int32)


def pad_field(field):
    return np.pad(field, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="wrap")


def generate_dataset(n, height, width, alive_prob=0.5):
    x = generate_field((n, 1, height, width), alive_prob)
    y = update_field(x)
    return torch.tensor(pad_field(x), dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def conv2d(in_ch, filters, kernel_size, activation=None):
    layers = [nn.Conv2d(in_ch, filters, kernel_size)]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def life_nn(num_filters=24, num_channels=32):
    # (N,1,H+2,W+2) -> 3x3 valid conv -> two 1x1 convs -> (N,1,H,W)
    return nn.Sequential(
        conv2d(1, num_filters, 3),
        conv2d(num_filters, num_channels, 1),
        conv2d(num_channels, 1, 1),
    )


def train(model, x, y, x_val, y_val, batch_size=64, epochs=12):
    loss_fn = nn.BCEWithLogitsLoss()
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x))
        total = 0.0
        for i in range(0, len(x), batch_size):
            b = order[i:i + batch_size]
            opt.zero_grad()
            loss = loss_fn(model(x[b]), y[b])
            loss.backward()
            opt.step()
            total += loss.item() * len(b)
        v_loss, v_acc = evaluate(model, x_val, y_val)
        print(f"epoch {epoch + 1:2d}  loss {total / len(x):.4f}  val_loss {v_loss:.4f}  val_acc {v_acc:.4f}")


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        out = model(x)
        loss = nn.functional.binary_cross_entropy_with_logits(out, y).item()
        acc = ((out > 0).float() == y).float().mean().item()
    return loss, acc


if __name__ == "__main__":
    start = time.time()
    height, width = 8, 8
    model = life_nn()
    X_train, y_train = generate_dataset(6000, height, width)
    X_val, y_val = generate_dataset(1500, height, width)
    train(model, X_train, y_train, X_val, y_val)
    for p in np.linspace(0.2, 0.8, 4):
        X_t, y_t = generate_dataset(500, height, width, p)
        print("P_alive={:.1f} Loss:{:.3f} Acc:{:.3f}".format(p, *evaluate(model, X_t, y_t)))
    X_t, y_t = generate_dataset(1500, height, width)
    print("time %.1fs" % (time.time() - start))
    print("test accuracy: %.4f" % evaluate(model, X_t, y_t)[1])
