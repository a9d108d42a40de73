import os
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_moons

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def sample(n, seed):
    x = make_moons(n, noise=0.1, random_state=seed)[0]
    return torch.tensor((x - [0.5, 0.25]) / [0.87, 0.5], dtype=torch.float32)


class Coupling(nn.Module):
    """RealNVP layer: one coordinate moves, scaled and shifted by a function of the other."""

    def __init__(self, flip, width):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        a, b = x[:, :1], x[:, 1:]
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, 1)
        s = 2 * torch.tanh(s / 2)
        b = b * s.exp() + t
        return torch.cat((b, a) if self.flip else (a, b), 1), s.squeeze(1)


class Flow(nn.Module):
    def __init__(self, layers=8, width=64):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1, width) for i in range(layers))

    def log_prob(self, x):
        logdet = 0
        for layer in self.layers:
            x, ld = layer(x)
            logdet = logdet + ld
        return logdet - 0.5 * (x ** 2).sum(1) - np.log(2 * np.pi)


val = sample(4000, 10_000 + SEED)
flow = Flow()
ITERS, LR = 1200, 5e-3
opt = torch.optim.Adam(flow.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, ITERS)
for i in range(ITERS):
    batch = sample(256, None)           # a fresh draw each time, there is no fixed training set
    loss = -flow.log_prob(batch).mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
    opt.step()
    sched.step()
    if (i + 1) % 250 == 0:
        with torch.no_grad():
            print("iter", i + 1, "loss %.4f" % loss.item(), "val nll %.4f" % -flow.log_prob(val).mean())
print("Gaussian nll would be %.4f" % (np.log(2 * np.pi) + 1 + 0.5 * np.log(np.linalg.det(np.cov(val.numpy().T)))))
with torch.no_grad():
    print("val nll %.4f" % -flow.log_prob(val).mean())
