# radial basis network for concrete strength; everything written out by hand (no nn.Module)
import os, random
import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.model_selection import GroupShuffleSplit

S = int(os.environ.get("SEED", 0))
random.seed(S); np.random.seed(S); torch.manual_seed(S)

d = pd.read_csv(os.environ["DATA"] + "/concrete.csv")
mix = d.groupby(list(d.columns[:7])).ngroup()          # one recipe, several ages
x = d.iloc[:, :8].values.astype(np.float64)
x[:, 7] = np.log(x[:, 7])
t = d.iloc[:, 8].values
i, j = next(GroupShuffleSplit(1, test_size=0.25, random_state=S).split(x, t, mix))

x = (x - x[i].mean(0)) / x[i].std(0)
tm, ts = t[i].mean(), t[i].std()
centres = KMeans(120, n_init=2, random_state=S).fit(x[i]).cluster_centers_

T = lambda a: torch.tensor(np.asarray(a), dtype=torch.float32)
X, Xt, y, yt = T(x[i]), T(x[j]), T((t[i] - tm) / ts), T((t[j] - tm) / ts)

K = len(centres)
c = T(centres).requires_grad_()
gamma = 1 / X.shape[1]                                    # usual default
w = (0.1 * torch.randn(K)).requires_grad_()
b = torch.zeros(1, requires_grad=True)
params = [c, w, b]


def f(z):
    d2 = ((z[:, None, :] - c[None]) ** 2).sum(-1)
    return torch.exp(-gamma * d2) @ w + b


# Adam, by hand
lr, b1, b2 = 1e-2, .9, .999
m = [torch.zeros_like(p) for p in params]
s = [torch.zeros_like(p) for p in params]
step = 0
for epoch in range(1, 121):
    perm = torch.randperm(len(X))
    for k in range(0, len(X), 64):
        q = perm[k:k + 64]
        loss = ((f(X[q]) - y[q]) ** 2).mean() + 1e-4 * (w ** 2).sum()
        grads = torch.autograd.grad(loss, params)
        step += 1
        a = lr * (1 - epoch / 121)
        with torch.no_grad():
            for p, gr, mm, ss in zip(params, grads, m, s):
                mm.mul_(b1).add_(gr, alpha=1 - b1)
                ss.mul_(b2).addcmul_(gr, gr, value=1 - b2)
                p -= a * (mm / (1 - b1 ** step)) / ((ss / (1 - b2 ** step)).sqrt() + 1e-8)
    if epoch % 20 == 0:
        with torch.no_grad():
            e = ((f(Xt) - yt) ** 2).mean().item()
        print(epoch, "train", round(loss.item(), 4), "rmse MPa", round(ts * e ** .5, 2), "R2", round(1 - e / yt.var(unbiased=False).item(), 4))
