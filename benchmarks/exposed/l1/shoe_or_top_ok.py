"""Footwear or upper-body garment? Binary net with a self-written loss."""
import gzip
import os

import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
BASE = os.path.join(os.environ["DATA"], "fashion-mnist")


def get(split, limit):
    with gzip.open(f"{BASE}/{split}-images-idx3-ubyte.gz") as fh:
        x = np.frombuffer(fh.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(f"{BASE}/{split}-labels-idx1-ubyte.gz") as fh:
        y = np.frombuffer(fh.read(), np.uint8, offset=8)
    shoes, tops = [5, 7, 9], [0, 2, 4, 6]
    use = np.flatnonzero(np.isin(y, shoes + tops))[:limit]
    return (torch.tensor(x[use] / 255.0, dtype=torch.float32),
            torch.tensor(np.isin(y[use], shoes), dtype=torch.float32).reshape(-1, 1))


def my_custom_loss(y_true, y_pred):
    y_pred = torch.clamp(y_pred, 1e-7, 1 - 1e-7)
    t_loss = (-1) * (y_true * torch.log(y_pred) + (1 - y_true) * torch.log(1 - y_pred))
    return torch.mean(t_loss)


x_train, y_train = get("train", 8000)
x_test, y_test = get("t10k", 3000)
print(x_train.shape, "share of shoes", y_train.mean().item())

model = nn.Sequential(
    nn.Linear(784, 128), nn.ReLU(),
    nn.Linear(128, 64), nn.ReLU(),
    nn.Linear(64, 1), nn.Sigmoid(),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

for epoch in range(12):
    order = torch.randperm(len(x_train))
    losses = []
    for k in range(0, len(order), 64):
        sel = order[k:k + 64]
        loss = my_custom_loss(y_train[sel], model(x_train[sel]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        acc = ((model(x_test) > 0.5).float() == y_test).float().mean().item()
    print(f"epoch {epoch + 1:2d}  loss {np.mean(losses):.5f}  test acc {acc:.4f}")
