"""Physics-informed net: damped oscillator u'' + 2 d u' + w^2 u = 0, u(0)=1, u'(0)=0, no data at all. Adam, then L-BFGS."""
import math, os
import torch

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
torch.set_default_dtype(torch.float64)

d, w0, T = 0.4, 2.0, 4.0
w = math.sqrt(w0 ** 2 - d ** 2)


def exact(t):
    return torch.exp(-d * t) * (torch.cos(w * t) + d / w * torch.sin(w * t))


class Net(torch.nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.l1 = torch.nn.Linear(1, width)
        self.l2 = torch.nn.Linear(width, width)
        self.l3 = torch.nn.Linear(width, 1)

    def forward(self, t):
        h = torch.tanh(self.l1(2 * t / T - 1))
        h = torch.tanh(self.l2(h))
        return 1.0 + t ** 2 * self.l3(h)          # both initial conditions hold by construction


def residual(net, t):
    u = net(t)
    (du,) = torch.autograd.grad(u.sum(), t, create_graph=True)
    (ddu,) = torch.autograd.grad(du.sum(), t, create_graph=True)
    return ddu + 2 * d * du + w0 ** 2 * u


net = Net()
t_col = torch.linspace(0, T, 100)[:, None].requires_grad_(True)

adam = torch.optim.Adam(net.parameters(), lr=5e-3)
for it in range(800):
    adam.zero_grad()
    loss = residual(net, t_col).pow(2).mean()
    loss.backward()
    adam.step()
    if it % 100 == 0:
        print("adam %4d  residual %.3e" % (it, loss.item()))

lbfgs = torch.optim.LBFGS(net.parameters(), lr=1.0, max_iter=20, history_size=30, line_search_fn="strong_wolfe")


def closure():
    lbfgs.zero_grad()
    loss = residual(net, t_col).pow(2).mean()
    loss.backward()
    return loss


for rnd in range(60):
    loss = lbfgs.step(closure)
    if rnd % 10 == 0:
        print("lbfgs %3d  residual %.3e" % (rnd, loss.item()))

t = torch.rand(500, 1) * T
with torch.no_grad():
    err = (net(t) - exact(t)).pow(2).mean().sqrt() / exact(t).pow(2).mean().sqrt()
print("relative L2 error off the collocation points: %.6f" % err.item())
