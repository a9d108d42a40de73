"""Online learning of a hidden 3-bit parity among 24 bits. Loss sits at ln 2 for a while, then falls."""
import os, random
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

N_BITS, K, BATCH = 24, 3, 256
secret = torch.randperm(N_BITS)[:K]


def sample(n):
    x = torch.randint(0, 2, (n, N_BITS)).float() * 2 - 1
    y = (x[:, secret].prod(1) > 0).float()
    return x, y


net = nn.Sequential(nn.Linear(N_BITS, 256), nn.ReLU(), nn.Linear(256, 1))
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
loss_fn = nn.BCEWithLogitsLoss()
x_test, y_test = sample(4000)

running = 0.0
for step in range(1, 1501):
    x, y = sample(BATCH)
    loss = loss_fn(net(x).squeeze(1), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    running += loss.item()
    if step % 100 == 0:
        with torch.no_grad():
            acc = ((net(x_test).squeeze(1) > 0).float() == y_test).float().mean().item()
        print(f"step {step:5d}  loss {running / 100:.4f}  test acc {acc:.4f}")
        running = 0.0
