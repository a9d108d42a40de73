import os
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)

# learn the vector field of a damped pendulum from short noisy trajectories
DT, N_STEPS = 0.1, 20


def true_field(s):
    return torch.stack([s[..., 1], -0.2 * s[..., 1] - 2.0 * torch.sin(s[..., 0])], -1)


def rk4(f, y, dt):
    k1 = f(y)
    k2 = f(y + dt / 2 * k1)
    k3 = f(y + dt / 2 * k2)
    k4 = f(y + dt * k3)
    return y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def odeint(f, y0, n):
    out = [y0]
    for _ in range(n):
        out.append(rk4(f, out[-1], DT))
    return torch.stack(out)


def trajectories(n, noise):
    y0 = (torch.rand(n, 2) - 0.5) * torch.tensor([4.0, 4.0])
    with torch.no_grad():
        y = odeint(true_field, y0, N_STEPS)
    return y + noise * torch.randn_like(y)


class ODEFunc(nn.Module):
    def __init__(self, h=50):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 2))

    def forward(self, y):
        return self.net(y)


train = trajectories(200, 0.05)
test = trajectories(200, 0.0)
func = ODEFunc()
niters = 600
optimizer = torch.optim.Adam(func.parameters(), lr=3e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, niters)
for itr in range(1, niters + 1):
    # sub-trajectories of ten steps from random start times
    k = torch.randint(200, (64,))
    s = torch.randint(N_STEPS - 9, (64,))
    target = torch.stack([train[s + j, k] for j in range(10)])
    pred = odeint(func, target[0], 9)
    loss = (pred - target).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(func.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    if itr % 100 == 0:
        print("Iter {:04d} | Total Loss {:.6f}".format(itr, loss.item()))

with torch.no_grad():
    pred = odeint(func, test[0], N_STEPS)
    print("rmse after the full horizon {:.4f}".format((pred[-1] - test[-1]).pow(2).mean().sqrt().item()))
    print("test mse {:.6f}".format((pred - test).pow(2).mean().item()))
