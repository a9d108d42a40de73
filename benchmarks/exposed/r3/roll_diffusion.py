# DDPM on the swiss roll (two of its three axes), with an EMA of the weights for sampling
import copy
import math
import os

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_swiss_roll

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

T = 60
STEPS, BATCH, LR, WIDTH = 2500, 256, 6e-3, 96


def data(n, seed):
    x = make_swiss_roll(n, noise=0.4, random_state=seed)[0][:, [0, 2]]
    return torch.tensor(x / 8.0, dtype=torch.float32)


s = torch.arange(T + 1) / T
abar = torch.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2
beta = (1 - abar[1:] / abar[:-1]).clamp(max=0.99)
alpha = 1 - beta
abar = torch.cumprod(alpha, 0)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("freq", 2.0 ** torch.arange(5) * math.pi / 2)
        self.inp = nn.Linear(2 + 10, WIDTH)
        self.mid = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(2)])
        self.out = nn.Linear(WIDTH, 2)

    def forward(self, x, t):
        a = (t.float() / T)[:, None] * self.freq
        h = self.inp(torch.cat([x, a.sin(), a.cos()], 1))
        for layer in self.mid:
            h = h + nn.functional.silu(layer(nn.functional.silu(h)))
        return self.out(nn.functional.silu(h))


@torch.no_grad()
def sample(net, n):
    x = torch.randn(n, 2)
    for t in reversed(range(T)):
        eps = net(x, torch.full((n,), t))
        x = (x - beta[t] / (1 - abar[t]).sqrt() * eps) / alpha[t].sqrt()
        if t:
            x = x + beta[t].sqrt() * torch.randn_like(x)
    return x


def energy(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


train, fresh = data(5000, SEED), data(3000, SEED + 1000)
net = Denoiser()
ema = copy.deepcopy(net)
opt = torch.optim.Adam(net.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda k: 1 - 0.95 * k / STEPS)
run = 1.0
for step in range(STEPS):
    x0 = train[torch.randint(len(train), (BATCH,))]
    t = torch.randint(T, (BATCH,))
    noise = torch.randn_like(x0)
    xt = abar[t].sqrt()[:, None] * x0 + (1 - abar[t]).sqrt()[:, None] * noise
    loss = (net(xt, t) - noise).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    with torch.no_grad():
        for p, q in zip(ema.parameters(), net.parameters()):
            p.lerp_(q, 0.01)
    run = 0.99 * run + 0.01 * loss.item()
    if step % 250 == 0:
        print(f"{step:5d} noise mse {run:.4f}")

with torch.no_grad():
    g = torch.Generator().manual_seed(5)
    t = torch.arange(T).repeat(50)
    noise = torch.randn(len(t), 2, generator=g)
    xt = abar[t].sqrt()[:, None] * fresh[:len(t)] + (1 - abar[t]).sqrt()[:, None] * noise
    held = (ema(xt, t) - noise).square().mean().item()
print(f"energy distance: plain gaussian {energy(train.std(0) * torch.randn(3000, 2) + train.mean(0), fresh):.4f}, samples {energy(sample(ema, 3000), fresh):.4f}")
print(f"noise mse on fresh points {held:.4f}")
