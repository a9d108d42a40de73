import os
import math
import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))

# -u'' = f on (0, 1), u(0) = u(1) = 0, solved with a physics-informed network (Adam, then L-BFGS)
exact = lambda x: torch.sin(math.pi * x) + 0.3 * torch.sin(4 * math.pi * x)
f = lambda x: math.pi ** 2 * torch.sin(math.pi * x) + 0.3 * 16 * math.pi ** 2 * torch.sin(4 * math.pi * x)


class PINN(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        for m in self.net:
            if isinstance(m, nn.Linear):
                nn.init.xavier_normal_(m.weight)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        return x * (1 - x) * self.net(2 * x - 1)     # boundary values hold by construction


def residual(model, x):
    x = x.requires_grad_(True)
    u = model(x)
    du, = torch.autograd.grad(u.sum(), x, create_graph=True)
    d2u, = torch.autograd.grad(du.sum(), x, create_graph=True)
    return (-d2u - f(x)) / math.pi ** 2


model = PINN()
adam = torch.optim.Adam(model.parameters(), lr=3e-3)
for it in range(1500):
    x = torch.rand(128, 1)
    loss = residual(model, x).pow(2).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    if it % 300 == 0:
        print(f"adam {it:5d}  residual {loss.item():.3e}")

grid = torch.linspace(0, 1, 400)[:, None]
lbfgs = torch.optim.LBFGS(model.parameters(), max_iter=500, history_size=50, tolerance_grad=1e-9,
                          tolerance_change=1e-12, line_search_fn="strong_wolfe")


def closure():
    lbfgs.zero_grad()
    loss = residual(model, grid.clone()).pow(2).mean()
    loss.backward()
    return loss


lbfgs.step(closure)
print(f"after l-bfgs  residual {closure().item():.3e}")

xt = torch.rand(2000, 1)
with torch.no_grad():
    err = (model(xt) - exact(xt)).pow(2).mean().sqrt() / exact(xt).pow(2).mean().sqrt()
print(f"relative L2 error {err.item():.3e}")
