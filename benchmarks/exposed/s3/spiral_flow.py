# RealNVP on a bent, noisy arc in the plane.  The density of the data is known up to
# one integral, so the held-out log likelihood can be compared with the truth.
import math, os, random
import numpy as np
import torch
from torch import nn

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
NOISE = 0.15


def arc(u):
    a = 0.3 + 4.0 * u
    return torch.stack([a.cos() * (0.6 + u), a.sin() * (0.6 + u)], 1)


def sample(n):
    return arc(torch.rand(n)) + NOISE * torch.randn(n, 2)


def true_logp(x, grid=2000):
    c = arc((torch.arange(grid) + 0.5) / grid)
    q = -((x[:, None] - c[None]) ** 2).sum(-1) / (2 * NOISE ** 2)
    return q.logsumexp(1) - math.log(grid) - math.log(2 * math.pi * NOISE ** 2)


class Coupling(nn.Module):
    def __init__(self, flip, h):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 2))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        a, b = x.chunk(2, 1)
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, 1)
        s = 2 * torch.tanh(s / 2)
        b = b * s.exp() + t
        return torch.cat([b, a] if self.flip else [a, b], 1), s[:, 0]


class Flow(nn.Module):
    def __init__(self, depth=8, h=40):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1, h) for i in range(depth))

    def log_prob(self, x):
        ld = 0
        for l in self.layers:
            x, s = l(x)
            ld = ld + s
        return ld - 0.5 * (x ** 2).sum(1) - math.log(2 * math.pi)


data, test = sample(20000), sample(4000)
print("log density of the held-out points under the truth: %.4f" % true_logp(test).mean())
flow = Flow()
STEPS, LR = 500, 5e-3
opt = torch.optim.Adam(flow.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=STEPS)
for step in range(STEPS):
    x = data[torch.randint(len(data), (512,))]
    nll = -flow.log_prob(x).mean()
    opt.zero_grad()
    nll.backward()
    opt.step()
    sched.step()
    if (step + 1) % 100 == 0:
        with torch.no_grad():
            print(step + 1, "nll %.4f" % nll.item(), "held-out log likelihood %.4f" % flow.log_prob(test).mean().item())
