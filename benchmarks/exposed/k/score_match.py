"""Denoising score matching with several noise levels on a Gaussian mixture; the exact score is known."""
import os, math
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

MEANS = torch.tensor([[-1.5, 0.0], [1.0, 1.2], [0.8, -1.3]])
S0 = 0.3
SIGMAS = torch.exp(torch.linspace(math.log(1.5), math.log(0.2), 8))


def data(n):
    return MEANS[torch.randint(0, 3, (n,))] + S0 * torch.randn(n, 2)


def exact_score(x, sigma):
    var = S0 ** 2 + sigma ** 2
    diff = MEANS[None] - x[:, None]
    w = torch.softmax(-(diff ** 2).sum(-1) / (2 * var), 1)
    return (w[..., None] * diff).sum(1) / var


class ScoreNet(nn.Module):
    def __init__(self, h=96):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 2))

    def forward(self, x, sigma):
        return self.net(torch.cat([x / (1 + sigma ** 2).sqrt(), sigma.log()], 1)) / sigma


net = ScoreNet()
STEPS = 5000
opt = torch.optim.Adam(net.parameters(), lr=8e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
hist = []
for step in range(1, STEPS + 1):
    x = data(256)
    sigma = SIGMAS[torch.randint(0, len(SIGMAS), (256, 1))]
    noise = torch.randn_like(x)
    loss = ((sigma * net(x + sigma * noise, sigma) + noise) ** 2).sum(1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    hist.append(loss.item())
    if step % 500 == 0:
        print(step, "dsm loss", round(float(np.mean(hist[-500:])), 4))

with torch.no_grad():
    err = 0.0
    for s in SIGMAS:
        xt = data(2000) + s * torch.randn(2000, 2)
        true, sig = exact_score(xt, s), s.expand(2000, 1)
        err += ((net(xt, sig) - true).pow(2).sum() / true.pow(2).sum()).item() / len(SIGMAS)
print(f"relative error of the score {err:.5f}")
