# Full-batch L-BFGS with a penalty on the weights; a small smooth regression.
import os, random
import numpy as np, torch
from sklearn.datasets import make_friedman1
SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
torch.set_default_dtype(torch.float64)

X, y = make_friedman1(n_samples=900, n_features=8, noise=1.0, random_state=SEED)
n = 600
mu, sd = X[:n].mean(0), X[:n].std(0)
X = (X - mu) / sd
ym, ys = y[:n].mean(), y[:n].std()
X = torch.from_numpy(X)
y = torch.from_numpy((y - ym) / ys)[:, None]
Xa, ya, Xb, yb = X[:n], y[:n], X[n:], y[n:]

H = 24
net = torch.nn.Sequential(torch.nn.Linear(8, H), torch.nn.Tanh(), torch.nn.Linear(H, 1))
lam = 3e-3
opt = torch.optim.LBFGS(net.parameters(), lr=1, max_iter=20, history_size=20, line_search_fn="strong_wolfe")


def closure():
    opt.zero_grad()
    fit = torch.mean((net(Xa) - ya) ** 2)
    pen = sum((p ** 2).sum() for k, p in net.named_parameters() if k.endswith("weight"))
    loss = fit + lam * pen
    loss.backward()
    return loss


for it in range(30):
    loss = opt.step(closure)
    if it % 3 == 0:
        with torch.no_grad():
            print(f"outer {it:3d} objective {loss.item():.5f} train mse {torch.mean((net(Xa) - ya) ** 2).item():.5f}")

with torch.no_grad():
    res = (net(Xb) - yb).numpy()
print("held-out R2 %.4f" % (1 - (res ** 2).mean() / yb.var().item()))
