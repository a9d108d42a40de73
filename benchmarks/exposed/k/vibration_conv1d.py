"""Machine state from vibration snippets, small 1-d conv net written on raw tensors."""
import math
import os
import numpy as np
import torch
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
gen = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def snippets(n, length=128):
    y = gen.integers(0, 4, n)
    t = np.arange(length) / length
    f = np.array([6, 10, 15, 21])[y][:, None] + gen.normal(0, 0.6, (n, 1))
    phase = gen.uniform(0, 2 * np.pi, (n, 1))
    amp = gen.uniform(0.6, 1.4, (n, 1))
    x = amp * np.sin(2 * np.pi * f * t + phase) + gen.normal(0, 0.6, (n, length))
    return torch.tensor(x, dtype=torch.float32)[:, None], torch.tensor(y)


def weight(*shape):
    fan_in = int(np.prod(shape[1:]))
    return (torch.randn(*shape) * math.sqrt(2.0 / fan_in)).requires_grad_()


W = {"k1": weight(16, 1, 9), "b1": torch.zeros(16, requires_grad=True),
     "k2": weight(24, 16, 7), "b2": torch.zeros(24, requires_grad=True),
     "w3": weight(32, 24), "b3": torch.zeros(32, requires_grad=True),
     "w4": weight(4, 32), "b4": torch.zeros(4, requires_grad=True)}


def forward(x):
    h = F.conv1d(x, W["k1"], W["b1"], stride=2, padding=4)
    h = F.conv1d(h, W["k2"], W["b2"], stride=2, padding=3)
    h = h.mean(dim=2)
    h = F.linear(h, W["w3"], W["b3"])
    return F.linear(h, W["w4"], W["b4"])


xtr, ytr = snippets(3000)
xva, yva = snippets(1000)
opt = torch.optim.Adam(W.values(), lr=3e-3)

for epoch in range(1, 16):
    total = 0.0
    for idx in torch.from_numpy(gen.permutation(len(xtr))).split(50):
        loss = F.cross_entropy(forward(xtr[idx]), ytr[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    with torch.no_grad():
        acc = (forward(xva).argmax(1) == yva).float().mean().item()
    print("epoch %2d  train loss %.4f  valid acc %.3f" % (epoch, total / len(xtr), acc))
