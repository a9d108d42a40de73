# Learn the vector field of a damped nonlinear spiral from noisy short snippets; hand-written RK4 inside the graph.
import os
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
DT = 0.05


def truth(z):
    return (z ** 3) @ A


def rk4(f, z, dt):
    k1 = f(z)
    k2 = f(z + dt / 2 * k1)
    k3 = f(z + dt / 2 * k2)
    k4 = f(z + dt * k3)
    return z + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def trajectory(f, z0, n):
    out = [z0]
    for _ in range(n):
        out.append(rk4(f, out[-1], DT))
    return torch.stack(out)


class Field(nn.Module):
    def __init__(self, h=48):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, h), nn.Tanh(), nn.Linear(h, 2))
        nn.init.normal_(self.net[2].weight, std=0.05)

    def forward(self, z):
        return self.net(z ** 3)


LEN = 8
data = trajectory(truth, (torch.rand(40, 2) * 2 - 1) * 1.8, 100)
data = data + 0.02 * torch.randn_like(data)                     # measurement noise
f = Field()
opt = torch.optim.Adam(f.parameters(), lr=2e-2)
iters = 1000
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, iters)
for it in range(iters):
    k, s = torch.randint(0, 40, (128,)), torch.randint(0, 101 - LEN, (128,))
    z = data[s, k]
    loss = 0.0
    for step in range(1, LEN):
        z = rk4(f, z, DT)
        loss = loss + (z - data[s + step, k]).abs().mean() / (LEN - 1)
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    if it % 100 == 0:
        print(it, "snippet L1 %.4f" % loss.item())

with torch.no_grad():
    z0 = (torch.rand(100, 2) * 2 - 1) * 1.6
    gap = (trajectory(f, z0, 60) - trajectory(truth, z0, 60)).pow(2).mean().sqrt()
print("rollout rmse over 3 time units, new starts: %.4f" % gap.item())
