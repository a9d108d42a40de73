"""Denoising diffusion on a two-dimensional spiral. The loss has a floor: much of the noise cannot be guessed."""
import os
import math
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

T = 50
betas = torch.linspace(1e-3, 0.2, T)
abar = torch.cumprod(1 - betas, 0)


def spiral(n):
    r = torch.rand(n).sqrt()
    a = 3 * math.pi * r
    return torch.stack([r * a.cos(), r * a.sin()], 1) * 2 + 0.03 * torch.randn(n, 2)


class Eps(nn.Module):
    def __init__(self, width=128):
        super().__init__()
        self.t = nn.Embedding(T, width)
        self.inp = nn.Linear(2, width)
        self.l1, self.l2 = nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, 2)

    def forward(self, x, t):
        e = self.t(t)
        h = torch.relu(self.inp(x) + e)
        h = h + torch.relu(self.l1(h) + e)
        h = h + torch.relu(self.l2(h))
        return self.out(h)


def q_sample(x0, t, eps):
    a = abar[t][:, None]
    return a.sqrt() * x0 + (1 - a).sqrt() * eps


@torch.no_grad()
def denoise_error(net, n=20000):
    g = torch.Generator().manual_seed(123)
    t = torch.randint(0, T, (n,), generator=g)
    eps = torch.randn(n, 2, generator=g)
    return ((net(q_sample(TEST[:n], t, eps), t) - eps) ** 2).mean().item()


@torch.no_grad()
def generate(net, n):
    x = torch.randn(n, 2)
    for k in reversed(range(T)):
        e = net(x, torch.full((n,), k))
        x = (x - betas[k] / (1 - abar[k]).sqrt() * e) / (1 - betas[k]).sqrt()
        if k:
            x = x + betas[k].sqrt() * torch.randn(n, 2)
    return x


TEST = spiral(20000)
net, ema = Eps(), Eps()
ema.load_state_dict(net.state_dict())
STEPS = 4000
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
smooth = None
for step in range(STEPS):
    x0, t, eps = spiral(256), torch.randint(0, T, (256,)), torch.randn(256, 2)
    loss = ((net(q_sample(x0, t, eps), t) - eps) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    with torch.no_grad():
        for p, q in zip(ema.parameters(), net.parameters()):
            p.lerp_(q, 0.01)
    smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
    if (step + 1) % 500 == 0:
        print(f"step {step + 1} loss {smooth:.4f}")
print("distance of generated points to the nearest real one: %.4f" % torch.cdist(generate(ema, 1000), TEST).min(1).values.mean())
print("held-out denoising error %.4f" % denoise_error(ema))
