# RealNVP on two moons, density estimation
import os, math
import numpy as np
import torch
from torch import nn
from sklearn.datasets import make_moons

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class Coupling(nn.Module):
    def __init__(self, flip, hidden=48):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(1, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 2))
        nn.init.zeros_(self.net[-1].weight)      # start as the identity
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        a, b = x[:, :1], x[:, 1:]
        if self.flip:
            a, b = b, a
        s, t = self.net(a).chunk(2, 1)
        s = 2 * torch.tanh(s / 2)
        b = b * s.exp() + t
        return torch.cat([b, a] if self.flip else [a, b], 1), s.sum(1)


class Flow(nn.Module):
    def __init__(self, n=6):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(i % 2 == 1) for i in range(n))

    def log_prob(self, x):
        logdet = 0
        for layer in self.layers:
            x, ld = layer(x)
            logdet = logdet + ld
        return -0.5 * (x ** 2).sum(1) - math.log(2 * math.pi) + logdet


data, _ = make_moons(6000, noise=0.2, random_state=SEED)
mean, std = data[:4000].mean(0), data[:4000].std(0)
data = torch.tensor((data - mean) / std, dtype=torch.float32)
train, test = data[:4000], data[4000:]

flow = Flow()
n_epochs = 40
opt = torch.optim.Adam(flow.parameters(), lr=5e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_epochs)
for epoch in range(n_epochs):
    for xb in train[torch.randperm(len(train))].split(128):
        nll = -flow.log_prob(xb).mean()
        opt.zero_grad()
        nll.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
        opt.step()
    sched.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: batch nll {nll.item():.3f}")
with torch.no_grad():
    print(f"test nll {-flow.log_prob(test).mean().item():.4f} nats")
