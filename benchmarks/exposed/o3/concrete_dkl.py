"""Deep kernel Gaussian process on concrete strength: exact marginal likelihood, all rows in one step."""
import math, os
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)
df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv")).sample(frac=1, random_state=SEED)
X = df.drop(columns="compressive_strength").to_numpy(float)
X[:, 7] = np.log(X[:, 7])               # age in days
y = df["compressive_strength"].to_numpy(float)
ntr = 500
xm, xs, ym, ys = X[:ntr].mean(0), X[:ntr].std(0), y[:ntr].mean(), y[:ntr].std()
X = torch.tensor((X - xm) / xs, dtype=torch.float32)
y = torch.tensor((y - ym) / ys, dtype=torch.float32)
Xtr, ytr, Xte, yte = X[:ntr], y[:ntr], X[ntr:], y[ntr:]


class DeepKernel(nn.Module):
    def __init__(self, width=16, out=4):
        super().__init__()
        self.skip = nn.Parameter(torch.zeros(8))          # log inverse length scales of the raw inputs
        self.net = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, out))
        self.amp = nn.Parameter(torch.zeros(()))
        self.noise = nn.Parameter(torch.tensor(-2.0))

    def k(self, a, b):
        f = lambda x: torch.cat([x * self.skip.exp() * 0.5, 0.5 * self.net(x)], 1)
        return self.amp.exp() * torch.exp(-0.5 * torch.cdist(f(a), f(b), compute_mode="donot_use_mm_for_euclid_dist").pow(2))

    def chol(self):
        K = self.k(Xtr, Xtr) + (self.noise.exp() + 1e-4) * torch.eye(ntr)
        L = torch.linalg.cholesky(K)
        return L, torch.cholesky_solve(ytr[:, None], L)

    def nll(self):
        L, a = self.chol()
        return (0.5 * (ytr @ a.squeeze(1)) + L.diagonal().log().sum()) / ntr + 0.5 * math.log(2 * math.pi)


gp = DeepKernel()
opt = torch.optim.Adam(gp.parameters(), lr=2e-2)
STEPS = 120
for i in range(STEPS):
    opt.zero_grad()
    loss = gp.nll()
    loss.backward()
    opt.step()
    if i % 20 == 19:
        print("step %3d  -log marginal likelihood per row %.4f  noise %.4f" % (i + 1, loss.item(), gp.noise.exp()))
with torch.no_grad():
    pred = (gp.k(Xte, Xtr) @ gp.chol()[1]).squeeze(1)
    rmse = ((pred - yte) ** 2).mean().sqrt().item() * ys
print("test RMSE %.3f MPa (spread of the targets %.2f)" % (rmse, yte.std() * ys))
print("test R2 %.4f" % (1 - ((pred - yte) ** 2).sum() / ((yte - yte.mean()) ** 2).sum()))
