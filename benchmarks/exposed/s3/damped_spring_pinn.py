"""Solve  u'' + 2*zeta*w*u' + w^2 u = cos(3 t),  u(0)=1, u'(0)=0  with a network and L-BFGS.
No solution values are used for training; scipy's solver gives the reference at the end."""
import os, random
import numpy as np
import torch
from scipy.integrate import solve_ivp

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
torch.set_default_dtype(torch.float64)

W, ZETA, T = 2.0, 0.15, 5.0
WIDTH = 20
OUTER = 20

net = torch.nn.Sequential(torch.nn.Linear(1, WIDTH), torch.nn.Tanh(),
                          torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh(),
                          torch.nn.Linear(WIDTH, 1))


def u(t):
    # the start conditions are built in: u(0)=1, u'(0)=0
    return 1 + t ** 2 * net(2 * t / T - 1)


def d(y, t):
    return torch.autograd.grad(y.sum(), t, create_graph=True)[0]


t = (torch.rand(120, 1) * T).requires_grad_()


def residual():
    y = u(t)
    y1 = d(y, t)
    return d(y1, t) + 2 * ZETA * W * y1 + W ** 2 * y - torch.cos(3 * t)


opt = torch.optim.LBFGS(net.parameters(), lr=1.0, max_iter=20, history_size=50, line_search_fn="strong_wolfe")


def closure():
    opt.zero_grad()
    loss = residual().pow(2).mean()
    loss.backward()
    return loss


te = np.linspace(0, T, 301)
ref = solve_ivp(lambda s, y: [y[1], np.cos(3 * s) - 2 * ZETA * W * y[1] - W ** 2 * y[0]], (0, T), [1.0, 0.0],
                t_eval=te, rtol=1e-9, atol=1e-10).y[0]
for k in range(OUTER):
    loss = opt.step(closure)
    if k % 4 == 3:
        with torch.no_grad():
            p = u(torch.tensor(te)[:, None])[:, 0].numpy()
        print(f"outer {k + 1}: residual {loss.item():.2e}  R2 against the reference {1 - ((p - ref) ** 2).sum() / ((ref - ref.mean()) ** 2).sum():.5f}")
