"""PINN: steady heat equation -u'' = f on [0, 1] with u(0) = u(1) = 0, trained by LBFGS."""
import os, math
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
torch.set_default_dtype(torch.float64)

exact = lambda x: torch.sin(2 * math.pi * x) + 0.3 * torch.sin(5 * math.pi * x)
source = lambda x: (2 * math.pi) ** 2 * torch.sin(2 * math.pi * x) + 0.3 * (5 * math.pi) ** 2 * torch.sin(5 * math.pi * x)

net = torch.nn.Sequential(torch.nn.Linear(1, 24), torch.nn.Tanh(), torch.nn.Linear(24, 24), torch.nn.Tanh(), torch.nn.Linear(24, 1))
for m in net:
    if isinstance(m, torch.nn.Linear):
        torch.nn.init.xavier_normal_(m.weight, gain=5 / 3)
        torch.nn.init.zeros_(m.bias)

x_in = torch.linspace(0, 1, 102)[1:-1, None].requires_grad_(True)
x_bc = torch.tensor([[0.0], [1.0]])
scale = source(x_in.detach()).std()


def residual():
    u = net(2 * x_in - 1)
    du, = torch.autograd.grad(u.sum(), x_in, create_graph=True)
    d2u, = torch.autograd.grad(du.sum(), x_in, create_graph=True)
    return (d2u + source(x_in)) / scale


opt = torch.optim.LBFGS(net.parameters(), lr=1.0, max_iter=25, history_size=50, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe")


def closure():
    opt.zero_grad()
    loss = residual().pow(2).mean() + net(2 * x_bc - 1).pow(2).mean()
    loss.backward()
    return loss


for step in range(60):
    loss = opt.step(closure)
    if step % 6 == 0:
        print(f"step {step:3d} loss {loss.item():.3e}")
    if loss.item() < 5e-8:
        print("converged at step", step)
        break

xt = torch.linspace(0, 1, 1001)[:, None]
with torch.no_grad():
    rel = (net(2 * xt - 1) - exact(xt)).norm() / exact(xt).norm()
print(f"relative L2 error {rel.item():.6f}")
