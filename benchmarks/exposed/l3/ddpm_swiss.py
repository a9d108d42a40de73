import os
import math
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_swiss_roll

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

T = 50
beta = torch.linspace(1e-3, 0.16, T)
alpha = 1 - beta
alpha_bar = torch.cumprod(alpha, 0)


def get_data(n):
    x, _ = make_swiss_roll(n, noise=0.4)
    return torch.tensor(x[:, [0, 2]] / 7.0, dtype=torch.float32)


class Denoiser(nn.Module):
    """predicts the noise added at step t"""

    def __init__(self, h=128, emb=32):
        super().__init__()
        self.freq = torch.exp(-math.log(1000) * torch.arange(emb // 2) / (emb // 2))
        self.inp = nn.Linear(2 + emb, h)
        self.blocks = nn.ModuleList([nn.Sequential(nn.SiLU(), nn.Linear(h, h)) for _ in range(3)])
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(h, 2))

    def forward(self, x, t):
        a = t[:, None].float() * self.freq
        h = self.inp(torch.cat([x, a.sin(), a.cos()], 1))
        for b in self.blocks:
            h = h + b(h)
        return self.out(h)


@torch.no_grad()
def sample(net, n):
    x = torch.randn(n, 2)
    for i in reversed(range(T)):
        eps = net(x, torch.full((n,), i))
        x = (x - beta[i] / (1 - alpha_bar[i]).sqrt() * eps) / alpha[i].sqrt()
        if i:
            x = x + beta[i].sqrt() * torch.randn_like(x)
    return x


def noise_loss(net, x0):
    t = torch.randint(T, (len(x0),))
    eps = torch.randn_like(x0)
    ab = alpha_bar[t][:, None]
    return (net(ab.sqrt() * x0 + (1 - ab).sqrt() * eps, t) - eps).pow(2).mean()


data = get_data(10000)
held = get_data(4000)
net = Denoiser()
ema = Denoiser()
ema.load_state_dict(net.state_dict())
STEPS = 3000
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1.0, s / 100) * max(0.02, 1 - s / STEPS))
running = 0.0
for step in range(1, STEPS + 1):
    loss = noise_loss(net, data[torch.randint(len(data), (256,))])
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    with torch.no_grad():
        for p, q in zip(ema.parameters(), net.parameters()):
            p.lerp_(q, 0.005)
    running += loss.item()
    if step % 500 == 0:
        print(f"{step} noise mse {running / 500:.4f}")
        running = 0.0

s = sample(ema, 4000)
ed = 2 * torch.cdist(s, held).mean() - torch.cdist(s, s).mean() - torch.cdist(held, held).mean()
print("energy distance to held-out data %.5f" % ed.item())
torch.manual_seed(99)
with torch.no_grad():
    print("held-out noise mse %.4f" % np.mean([noise_loss(ema, held).item() for _ in range(20)]))
