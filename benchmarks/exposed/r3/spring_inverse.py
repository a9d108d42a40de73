"""Physics-informed net for a damped spring: fits a few noisy readings and finds damping and stiffness with them."""
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

D_TRUE, W_TRUE = 0.3, 2.0         # x'' + 2 d x' + w^2 x = 0
ADAM_STEPS, LR, WIDTH, LBFGS_STEPS = 1200, 3e-3, 24, 200


def exact(t):
    w = (W_TRUE ** 2 - D_TRUE ** 2) ** 0.5
    return torch.exp(-D_TRUE * t) * (torch.cos(w * t) + D_TRUE / w * torch.sin(w * t))


t_obs = torch.rand(30, 1) * 6
x_obs = exact(t_obs) + 0.02 * torch.randn(30, 1)
t_col = torch.linspace(0, 6, 80)[:, None]


class Spring(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1))
        self.d = nn.Parameter(torch.tensor(1.0))
        self.w2 = nn.Parameter(torch.tensor(1.0))

    def forward(self, t):
        return self.net(t / 3 - 1)

    def residual(self, t):
        t = t.clone().requires_grad_(True)
        x = self(t)
        dx, = torch.autograd.grad(x.sum(), t, create_graph=True)
        ddx, = torch.autograd.grad(dx.sum(), t, create_graph=True)
        return ddx + 2 * self.d * dx + self.w2 * x


model = Spring()


def losses():
    return ((model(t_obs) - x_obs) ** 2).mean(), (model.residual(t_col) ** 2).mean()


adam = torch.optim.Adam(model.parameters(), lr=LR)
for step in range(ADAM_STEPS):
    adam.zero_grad()
    fit, phys = losses()
    (fit + 0.05 * phys).backward()
    adam.step()
    if step % 200 == 0:
        print(f"adam {step:5d} fit {fit.item():.5f} physics {phys.item():.5f} d {model.d.item():.3f} w2 {model.w2.item():.3f}")

lbfgs = torch.optim.LBFGS(model.parameters(), max_iter=LBFGS_STEPS, history_size=30, line_search_fn="strong_wolfe",
                          tolerance_grad=1e-9, tolerance_change=1e-12)


def closure():
    lbfgs.zero_grad()
    fit, phys = losses()
    loss = fit + 0.05 * phys
    loss.backward()
    return loss


print("lbfgs from", round(lbfgs.step(closure).item(), 6), "to", round(closure().item(), 6))
t = torch.linspace(0, 6, 500)[:, None]
with torch.no_grad():
    rmse = ((model(t) - exact(t)) ** 2).mean().sqrt()
print(f"damping {model.d.item():.3f} (true {D_TRUE}), stiffness {model.w2.item():.3f} (true {W_TRUE ** 2})")
print(f"rmse against the exact motion {rmse:.5f}")
