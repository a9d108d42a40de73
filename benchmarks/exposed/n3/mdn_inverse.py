"""Inverse of x = y + 0.3 sin(2 pi y): one-to-many, so a mixture density network. We climb the log-likelihood."""
import math, os
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)


def make(n):
    y = torch.rand(n, 1)
    x = y + 0.3 * torch.sin(2 * math.pi * y) + 0.05 * torch.randn(n, 1)
    return (x - 0.5) / 0.33, y


class MDN(nn.Module):
    def __init__(self, k=6, h=48):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(1, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh())
        self.pi, self.mu, self.ls = nn.Linear(h, k), nn.Linear(h, k), nn.Linear(h, k)
        with torch.no_grad():                       # spread the components over the target range
            self.mu.bias.copy_(torch.linspace(0.05, 0.95, k))
            self.ls.bias.fill_(-1.5)

    def log_prob(self, x, y):
        t = self.trunk(x)
        logpi = torch.log_softmax(self.pi(t), 1)
        ls = self.ls(t).clamp(-5, 2)
        comp = -0.5 * ((y - self.mu(t)) / ls.exp()) ** 2 - ls - 0.5 * math.log(2 * math.pi)
        return torch.logsumexp(logpi + comp, 1)


x, y = make(3000)
xt, yt = make(4000)
net = MDN()
opt = torch.optim.Adam(net.parameters(), lr=5e-3, maximize=True)
EPOCHS = 160
sch = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.02, total_iters=EPOCHS)
for ep in range(EPOCHS):
    s = 0.0
    for i in torch.randperm(len(x)).split(100):
        ll = net.log_prob(x[i], y[i]).mean()
        opt.zero_grad()
        ll.backward()
        opt.step()
        s += ll.item() * len(i)
    sch.step()
    if ep % 16 == 15:
        print(f"[{ep + 1:3d}] train log-lik {s / len(x):+.4f}")
with torch.no_grad():
    print(f"held-out log-lik {net.log_prob(xt, yt).mean().item():.4f}")
