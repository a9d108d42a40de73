"""Bishop's inverse problem: several answers y for one x, so a mixture density network.
The squared error of the mean says little here; what counts is the log likelihood."""
import os
import random
import math
import numpy as np
import torch
from torch import nn

K = 5
NOISE = 0.08


def forward_model(y, rng):
    return y + 0.3 * np.sin(2 * math.pi * y) + rng.normal(0, NOISE, size=y.shape)


class MDN(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.logits = nn.Linear(hidden, K)
        self.mu = nn.Linear(hidden, K)
        self.log_sigma = nn.Linear(hidden, K)
        with torch.no_grad():
            self.mu.bias.copy_(torch.linspace(0.1, 0.9, K))
            self.log_sigma.bias.fill_(-1.5)

    def log_likelihood(self, x, y):
        h = self.trunk(x * 4 - 2)
        logw = torch.log_softmax(self.logits(h), -1)
        ls = self.log_sigma(h).clamp(min=-5)
        z = (y - self.mu(h)) / ls.exp()
        return torch.logsumexp(logw - ls - 0.5 * z ** 2, -1) - 0.5 * math.log(2 * math.pi)


def truth(x, y):
    # p(y|x) = p(x|y) p(y) / p(x), the last by a sum over a grid
    f = lambda v: v + 0.3 * np.sin(2 * math.pi * v)
    joint = lambda v: np.exp(-0.5 * ((x[:, None] - f(v)) / NOISE) ** 2 - 0.5 * ((v - 0.5) / 0.2) ** 2)
    g = np.linspace(-0.5, 1.5, 1001)[None]
    return np.log(joint(y[:, None])[:, 0] / (joint(g).mean(1) * 2)).mean()


def main():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    y = rng.normal(0.5, 0.2, size=8000)
    x = forward_model(y, rng)
    print("test log likelihood of the true density %.4f" % truth(x[6000:], y[6000:]))
    X = torch.tensor(x, dtype=torch.float32).unsqueeze(1)
    Y = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    net = MDN()
    lr, steps = 0.01, 700
    opt = torch.optim.NAdam(net.parameters(), lr=lr)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps)))
    for step in range(steps):
        i = torch.randint(0, 6000, (400,))
        loss = -net.log_likelihood(X[i], Y[i]).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        if step % 100 == 99:
            with torch.no_grad():
                ll = net.log_likelihood(X[6000:], Y[6000:]).mean().item()
            print(f"{step + 1:5d}  train {loss.item():+.3f}  test log likelihood {ll:+.4f}")


main()
