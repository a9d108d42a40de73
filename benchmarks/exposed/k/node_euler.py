# Learn the vector field of a damped oscillator from trajectories; Euler steps unrolled through time.
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

DT, STEPS, SUB = 0.1, 20, 1

def true_field(s):
    x, v = s[..., :1], s[..., 1:]
    return torch.cat([v, -1.5 * torch.sin(x) - 0.25 * v], -1)

def simulate(n):
    s = (torch.rand(n, 2) - 0.5) * 4
    out = [s]
    for _ in range(STEPS):
        for _ in range(20):                       # fine reference steps (midpoint)
            h = DT / 20
            s = s + h * true_field(s + 0.5 * h * true_field(s))
        out.append(s)
    return torch.stack(out, 1)

train = simulate(300); train = train + 0.01 * torch.randn_like(train)
test = simulate(200)

class Field(nn.Module):
    def __init__(self, h=48):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh(), nn.Linear(h, 2))
    def forward(self, s):
        return self.net(s)

def odeint_euler(f, s, n):
    path = [s]
    for _ in range(n):
        for _ in range(SUB):
            s = s + DT / SUB * f(s)
        path.append(s)
    return torch.stack(path, 1)

f = Field()
epochs = 200
opt = torch.optim.Adam(f.parameters(), lr=8e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
for ep in range(epochs):
    tot = 0.0
    for b in torch.randperm(len(train)).split(30):
        loss = (odeint_euler(f, train[b, 0], STEPS) - train[b]).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(f.parameters(), 1.0)
        opt.step()
        tot += loss.item() / 10
    sched.step()
    if ep % 20 == 19:
        print("epoch", ep + 1, "trajectory mse %.6f" % tot)
with torch.no_grad():
    err = (odeint_euler(f, test[:, 0], STEPS) - test).pow(2).mean().sqrt()
print("test trajectory rmse %.5f" % err)
