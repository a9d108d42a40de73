"""Travel time by hour of day: a mixture density network, because some days there is a jam and some days not."""
import math
import os

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def simulate(n):
    hour = np.random.uniform(5, 23, n)
    rain = (np.random.rand(n) < 0.3).astype(float)
    rush = np.exp(-0.5 * ((hour - 8) / 1.0) ** 2) + np.exp(-0.5 * ((hour - 17.5) / 1.3) ** 2)
    p = np.clip(0.05 + 0.6 * rush + 0.1 * rain, 0, 0.9)
    m0, s0 = 22 + 3 * rain, 1.5 + 0.5 * rain
    m1, s1 = 34 + 14 * rush + 4 * rain, 3.0
    jam = np.random.rand(n) < p
    t = np.where(jam, m1 + s1 * np.random.randn(n), m0 + s0 * np.random.randn(n))

    def pdf(m, s):
        return np.exp(-0.5 * ((t - m) / s) ** 2) / (s * math.sqrt(2 * math.pi))
    truth = -np.log(p * pdf(m1, s1) + (1 - p) * pdf(m0, s0))
    x = np.stack([np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * hour / 24), hour / 7 - 2, rain], 1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(t, dtype=torch.float32), truth.mean()


class MDN(nn.Module):
    def __init__(self, d, h, k):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh())
        self.pi, self.mu, self.ls = nn.Linear(h, k), nn.Linear(h, k), nn.Linear(h, k)
        with torch.no_grad():
            self.mu.bias.copy_(torch.linspace(-1, 1.5, k))

    def forward(self, x):
        h = self.body(x)
        return torch.log_softmax(self.pi(h), 1), self.mu(h), self.ls(h).clamp(-4, 2)


def nll(out, t):
    lp, mu, ls = out
    comp = -0.5 * ((t[:, None] - mu) / ls.exp()) ** 2 - ls - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(lp + comp, 1)


x, t, _ = simulate(6000)
xv, tv, floor = simulate(6000)
m, s = t.mean(), t.std()
t, tv = (t - m) / s, (tv - m) / s
K, H, LR, EPOCHS = 3, 40, 3e-3, 25
net = MDN(4, H, K)
opt = torch.optim.Adam(net.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for e in range(EPOCHS):
    tot = 0
    for i in torch.randperm(len(x)).split(100):
        loss = nll(net(x[i]), t[i]).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(i)
    sched.step()
    if e % 3 == 0 or e == EPOCHS - 1:
        print(f"epoch {e:2d}  nll {tot / len(x):.4f}")
with torch.no_grad():
    v = nll(net(xv), tv).mean() + s.log()
print(f"nats per trip: simulator itself {floor:.4f}, network on new trips {v:.4f}")
