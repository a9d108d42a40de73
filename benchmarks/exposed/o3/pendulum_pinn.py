"""Damped oscillator x'' + 2 d x' + w^2 x = 0 solved by a network that never sees the solution. Adam first, then L-BFGS."""
import os
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED); np.random.seed(SEED)
torch.set_default_dtype(torch.float64)
d, w, T = 0.3, 3.0, 3.0


def exact(t):
    wd = np.sqrt(w * w - d * d)
    return np.exp(-d * t) * (np.cos(wd * t) + d / wd * np.sin(wd * t))


net = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
t = torch.linspace(0, T, 120)[:, None].requires_grad_(True)


def solution(t):
    return 1 + t * t * net(2 * t / T - 1)          # x(0) = 1, x'(0) = 0 by construction


def residual_loss():
    x = solution(t)
    dx, = torch.autograd.grad(x.sum(), t, create_graph=True)
    ddx, = torch.autograd.grad(dx.sum(), t, create_graph=True)
    return ((ddx + 2 * d * dx + w * w * x) ** 2).mean()


def error():
    grid = torch.linspace(0, T, 500)[:, None]
    with torch.no_grad():
        return np.sqrt(np.mean((solution(grid).numpy() - exact(grid.numpy())) ** 2))


adam = torch.optim.Adam(net.parameters(), lr=5e-3)
for i in range(600):
    loss = residual_loss()
    adam.zero_grad()
    loss.backward()
    adam.step()
    if i % 150 == 0:
        print(f"adam {i:4d}  residual {loss.item():.3e}  error {error():.3e}")
lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=50, history_size=30, tolerance_change=1e-12, line_search_fn="strong_wolfe")


def closure():
    lbfgs.zero_grad()
    loss = residual_loss()
    loss.backward()
    return loss


for r in range(10):
    loss = lbfgs.step(closure)
    print(f"lbfgs {r}  residual {loss.item():.3e}  error {error():.3e}")
print("rms error against the exact solution %.6f" % error())
