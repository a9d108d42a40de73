"""Meta-learning with a closed-form inner learner (as in R2-D2, Bertinetto et al. 2019):
features are shared, each task gets its own ridge regression on ten support points."""
import os, random, math
import numpy as np
import torch
from torch import nn

TASKS, SUPPORT, QUERY = 32, 10, 20


def tasks(n, points, gen):
    amp = torch.rand(n, 1, 1, generator=gen) * 4.9 + 0.1
    phase = torch.rand(n, 1, 1, generator=gen) * math.pi
    x = torch.rand(n, points, 1, generator=gen) * 10 - 5
    y = amp * torch.sin(x + phase) + 0.1 * torch.randn(x.shape, generator=gen)
    return x, y


class RidgeLearner(nn.Module):
    def __init__(self, width=40, feats=24):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, feats))
        self.log_lam = nn.Parameter(torch.tensor(0.0))

    def forward(self, xs, ys, xq):
        f, g = self.phi(xs / 5), self.phi(xq / 5)
        gram = f @ f.transpose(1, 2) + self.log_lam.exp() * torch.eye(f.shape[1])
        return g @ f.transpose(1, 2) @ torch.linalg.solve(gram, ys)


def score(model, gen):
    x, y = tasks(300, SUPPORT + 60, gen)
    with torch.no_grad():
        p = model(x[:, :SUPPORT], y[:, :SUPPORT], x[:, SUPPORT:])
    q = y[:, SUPPORT:]
    return 1 - ((p - q) ** 2).sum() / ((q - q.mean()) ** 2).sum()


if __name__ == "__main__":
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    gen = torch.Generator().manual_seed(seed + 1)
    model = RidgeLearner()
    ITERS, LR = 700, 3e-3
    opt = torch.optim.Adam(model.parameters(), lr=LR)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(opt, ITERS)
    for it in range(ITERS):
        x, y = tasks(TASKS, SUPPORT + QUERY, gen)
        pred = model(x[:, :SUPPORT], y[:, :SUPPORT], x[:, SUPPORT:])
        loss = ((pred - y[:, SUPPORT:]) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        decay.step()
        if it % 100 == 99:
            print(f"iteration {it + 1}: query mse {loss.item():.3f}, new tasks R2 {score(model, torch.Generator().manual_seed(10_000 + seed)):.4f}")
