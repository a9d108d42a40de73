# Baseball salaries, 263 players: five folds, full-batch Rprop, a very small net.
import os
import random
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import KFold

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

h = pd.read_csv(os.path.join(os.environ["DATA"], "hitters.csv")).dropna()
y = np.log(h.pop("Salary")).to_numpy()
for c in ("League", "Division", "NewLeague"):
    h[c] = (h[c] == h[c].iloc[0]).astype(float)
career = [c for c in h.columns if c.startswith("C")] + ["Years"]
h[career] = np.log1p(h[career])          # careers pay less and less per game
X = h.to_numpy(float)

HIDDEN, STEPS, LAMBDA, STEP0 = 6, 120, 0.03, 0.005


def net(theta, x):
    a, b, c, e, skip = theta
    return torch.tanh(x @ a + b) @ c + x @ skip + e


def fit(Xa, ya):
    n = Xa.shape[1]
    theta = [torch.randn(n, HIDDEN) * 0.3, torch.randn(HIDDEN) * 0.5, torch.randn(HIDDEN) * 0.1, torch.zeros(()), torch.zeros(n)]
    for p in theta:
        p.requires_grad_()
    opt = torch.optim.Rprop(theta, lr=STEP0, step_sizes=(1e-6, 0.1))
    for i in range(STEPS):
        opt.zero_grad()
        mse = (net(theta, Xa) - ya).square().mean()
        loss = mse + LAMBDA * sum(theta[j].square().sum() for j in (0, 2, 4))
        loss.backward()
        opt.step()
    return theta, mse.item()


pred = np.zeros_like(y)
for k, (a, b) in enumerate(KFold(5, shuffle=True, random_state=seed).split(X)):
    mu, sd = X[a].mean(0), X[a].std(0)
    f = lambda i: torch.tensor((X[i] - mu) / sd, dtype=torch.float32)
    m, s = y[a].mean(), y[a].std()
    theta, mse = fit(f(a), torch.tensor((y[a] - m) / s, dtype=torch.float32))
    with torch.no_grad():
        pred[b] = net(theta, f(b)).numpy() * s + m
    r2 = 1 - ((y[b] - pred[b]) ** 2).sum() / ((y[b] - y[b].mean()) ** 2).sum()
    print(f"fold {k}: train mse {mse:.3f}, held-out R2 {r2:.3f}")
print("all folds R2 %.4f" % (1 - ((y - pred) ** 2).sum() / ((y - y.mean()) ** 2).sum()))
