"""Cooling rod by a physics-informed net: u_t = 0.1 u_xx, u(0,x) = sin(pi x) + .5 sin(3 pi x), ends at zero."""
import math, os, random
import numpy as np
import torch

torch.set_default_dtype(torch.float64)
seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

KAPPA = 0.1
pi = math.pi
WIDTH, ADAM_STEPS, ADAM_LR, NEWTON_ROUNDS = 24, 400, 5e-3, 20


def start(x):
    return torch.sin(pi * x) + .5 * torch.sin(3 * pi * x)


def exact(t, x):
    return torch.exp(-KAPPA * pi ** 2 * t) * torch.sin(pi * x) + .5 * torch.exp(-9 * KAPPA * pi ** 2 * t) * torch.sin(3 * pi * x)


net = torch.nn.Sequential(
    torch.nn.Linear(2, WIDTH), torch.nn.Tanh(),
    torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh(),
    torch.nn.Linear(WIDTH, 1),
)
for m in net:
    if isinstance(m, torch.nn.Linear):
        torch.nn.init.xavier_normal_(m.weight)
        torch.nn.init.zeros_(m.bias)

u = lambda t, x: net(torch.cat([2 * t - 1, 2 * x - 1], 1))
ti, xi = torch.rand(300, 1, requires_grad=True), torch.rand(300, 1, requires_grad=True)
x0 = torch.linspace(0, 1, 60).unsqueeze(1)
tb = torch.rand(60, 1)


def residuals():
    v = u(ti, xi)
    vt, vx = torch.autograd.grad(v.sum(), (ti, xi), create_graph=True)
    vxx, = torch.autograd.grad(vx.sum(), xi, create_graph=True)
    pde = (vt - KAPPA * vxx).square().mean()
    ini = (u(torch.zeros_like(x0), x0) - start(x0)).square().mean()
    ends = u(tb, torch.zeros_like(tb)).square().mean() + u(tb, torch.ones_like(tb)).square().mean()
    return pde, ini, ends


def objective():
    pde, ini, ends = residuals()
    return pde + 20 * ini + 20 * ends


adam = torch.optim.Adam(net.parameters(), lr=ADAM_LR)
for k in range(ADAM_STEPS):
    adam.zero_grad()
    L = objective()
    L.backward()
    adam.step()
    if k % 100 == 0:
        print(f"adam {k:4d}  {L.item():.3e}")

lb = torch.optim.LBFGS(net.parameters(), max_iter=20, history_size=50, line_search_fn="strong_wolfe")


def closure():
    lb.zero_grad()
    L = objective()
    L.backward()
    return L


for k in range(NEWTON_ROUNDS):
    L = lb.step(closure)
    if k % 5 == 4:
        print(f"lbfgs {k + 1:3d}  {L.item():.3e}  (pde %.1e, start %.1e, ends %.1e)" % tuple(r.item() for r in residuals()))

T, Xg = torch.meshgrid(torch.linspace(0, 1, 51), torch.linspace(0, 1, 73), indexing="ij")
T, Xg = T.reshape(-1, 1), Xg.reshape(-1, 1)
with torch.no_grad():
    e = (u(T, Xg) - exact(T, Xg)).norm() / exact(T, Xg).norm()
print(f"relative L2 error on a fresh grid {e.item():.5f}")
