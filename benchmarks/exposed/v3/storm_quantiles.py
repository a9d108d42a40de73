"""Three quantiles (10, 50, 90 %) of a heavy-tailed response with one network.

Losses of a storm season: the location and the spread both move with the covariates
and the noise is Student t with 1.8 degrees of freedom, so there is no variance to explain.
"""
import os
import random
import numpy as np
import torch

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
rng = np.random.default_rng(seed)
np.random.seed(seed)
torch.manual_seed(seed)

TAUS = torch.tensor([0.1, 0.5, 0.9])
LR, EPOCHS, WIDTH = 6e-3, 40, 64


def simulate(n):
    x = rng.uniform(-1, 1, (n, 6)).astype("float32")
    loc = 1.5 * np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3]
    scale = 0.4 + 0.8 * (x[:, 4] > 0) + 0.4 * np.abs(x[:, 0])
    y = loc + scale * rng.standard_t(1.8, n)
    return torch.from_numpy(x), torch.from_numpy(y.astype("float32")), torch.from_numpy(loc.astype("float32"))


def pinball(q, y):
    e = y[:, None] - q
    return torch.maximum(TAUS * e, (TAUS - 1) * e).sum(1).mean()


x, y, _ = simulate(6000)
xt, yt, loct = simulate(4000)

trunk = torch.nn.Sequential(
    torch.nn.Linear(6, WIDTH), torch.nn.SiLU(),
    torch.nn.Linear(WIDTH, WIDTH), torch.nn.SiLU(),
    torch.nn.Linear(WIDTH, 3),
)


def quantiles(z):
    # middle, and two positive gaps: quantiles cannot cross
    o = trunk(z)
    gap = torch.nn.functional.softplus(o[:, 1:])
    return torch.stack([o[:, 0] - gap[:, 0], o[:, 0], o[:, 0] + gap[:, 1]], 1)


opt = torch.optim.Adam(trunk.parameters(), lr=LR)
decay = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.02, total_iters=EPOCHS)
for epoch in range(EPOCHS):
    tot = 0.0
    for b in torch.randperm(len(x)).split(100):
        opt.zero_grad()
        loss = pinball(quantiles(x[b]), y[b])
        loss.backward()
        opt.step()
        tot += loss.item() * len(b)
    decay.step()
    if epoch % 4 == 3:
        with torch.no_grad():
            q = quantiles(xt)
            held = pinball(q, yt).item()
            inside = ((yt > q[:, 0]) & (yt < q[:, 2])).float().mean().item()
            r2y = 1 - ((yt - q[:, 1]) ** 2).sum() / ((yt - yt.mean()) ** 2).sum()
            r2m = 1 - ((loct - q[:, 1]) ** 2).sum() / ((loct - loct.mean()) ** 2).sum()
        print(f"{epoch + 1:3d} train {tot / len(x):.3f} test {held:.3f} "
              f"coverage(80%) {inside:.3f} R2(y) {r2y:.3f} R2(true median) {r2m:.3f}")
