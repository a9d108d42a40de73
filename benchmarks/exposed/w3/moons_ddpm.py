import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_moons

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

# ---- data
pts, _ = make_moons(4000, noise=0.05, random_state=seed)
pts = torch.tensor((pts - pts.mean(0)) / pts.std(0), dtype=torch.float32)

# ---- noise schedule
STEPS = 50
beta = torch.linspace(1e-3, 0.2, STEPS)
abar = torch.cumprod(1 - beta, 0)


class Denoiser(nn.Module):
    def __init__(self, hidden=96):
        super().__init__()
        self.freq = nn.Parameter(torch.arange(1, 9) * np.pi / STEPS, requires_grad=False)
        self.inp = nn.Linear(2 + 16, hidden)
        self.mid = nn.ModuleList([nn.Linear(hidden, hidden) for _ in range(2)])
        self.out = nn.Linear(hidden, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, t):
        ang = t[:, None] * self.freq
        h = nn.functional.silu(self.inp(torch.cat([x, ang.sin(), ang.cos()], 1)))
        for layer in self.mid:
            h = h + nn.functional.silu(layer(h))
        return self.out(h)


net = Denoiser()
ema = Denoiser()
ema.load_state_dict(net.state_dict())
ITERS = 2000
LR = 6e-3
opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=LR, betas=(0.9, 0.99))
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, ITERS, eta_min=LR / 20)

running = 1.0
for it in range(1, ITERS + 1):
    x0 = pts[torch.randint(len(pts), (256,))]
    t = torch.randint(STEPS, (256,))
    eps = torch.randn_like(x0)
    a = abar[t][:, None]
    loss = ((net(a.sqrt() * x0 + (1 - a).sqrt() * eps, t) - eps) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    with torch.no_grad():
        for p, q in zip(ema.parameters(), net.parameters()):
            p.lerp_(q, 0.01)
    running += 0.01 * (loss.item() - running)
    if it % 200 == 0:
        print(f"iter {it:5d}  eps-loss {running:.4f}")

# ---- draw some
with torch.no_grad():
    x = torch.randn(500, 2)
    for k in reversed(range(STEPS)):
        e = ema(x, torch.full((500,), k))
        x = (x - beta[k] / (1 - abar[k]).sqrt() * e) / (1 - beta[k]).sqrt()
        if k:
            x = x + beta[k].sqrt() * torch.randn_like(x)
print("sample mean", [round(v, 2) for v in x.mean(0).tolist()], "std", [round(v, 2) for v in x.std(0).tolist()])
