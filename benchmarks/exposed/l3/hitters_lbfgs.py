# ISLR "Hitters": log salary with only a couple of hundred rows, full batch L-BFGS with an L2 penalty
import os
import numpy as np
import pandas as pd
import torch

seed = int(os.environ.get("SEED", 0))
np.random.seed(seed)
torch.manual_seed(seed)
torch.set_default_dtype(torch.float64)

df = pd.read_csv(os.path.join(os.environ["DATA"], "hitters.csv")).dropna()
y = np.log(df.pop("Salary").to_numpy(dtype="float64"))
for c in ["Years", "CAtBat", "CHits", "CHmRun", "CRuns", "CRBI", "CWalks"]:
    df[c] = np.log1p(df[c])
X = pd.get_dummies(df, drop_first=True).to_numpy(dtype="float64")


def fit(Xa, ya, l2, hidden=8, iters=60):
    net = torch.nn.Sequential(torch.nn.Linear(Xa.shape[1], hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1))
    opt = torch.optim.LBFGS(net.parameters(), lr=1, max_iter=iters, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        pen = sum((p ** 2).sum() for n, p in net.named_parameters() if "weight" in n)
        loss = torch.mean((net(Xa).squeeze(1) - ya) ** 2) + l2 * pen
        loss.backward()
        return loss

    opt.step(closure)
    return net


def standardise(a, b):
    m, s = a.mean(0), a.std(0)
    return torch.tensor((a - m) / s), torch.tensor((b - m) / s)


idx = np.random.permutation(len(y))
folds = np.array_split(idx, 5)
grid = [0.01, 0.03, 0.1]
pred = np.zeros(len(y))
for k, test in enumerate(folds):
    train = np.concatenate([f for j, f in enumerate(folds) if j != k])
    ym = y[train].mean()
    # inner split chooses the penalty
    inner = np.array_split(np.random.permutation(train), 3)
    errs = []
    for l2 in grid:
        e = 0.0
        for q in range(3):
            a, b = np.concatenate([inner[r] for r in range(3) if r != q]), inner[q]
            Xa, Xb = standardise(X[a], X[b])
            net = fit(Xa, torch.tensor(y[a] - ym), l2)
            with torch.no_grad():
                e += float(((net(Xb).squeeze(1).numpy() + ym - y[b]) ** 2).sum())
        errs.append(e / len(train))
    best = grid[int(np.argmin(errs))]
    Xa, Xb = standardise(X[train], X[test])
    nets = [fit(Xa, torch.tensor(y[train] - ym), best) for _ in range(3)]       # small bag of restarts
    with torch.no_grad():
        pred[test] = torch.stack([n(Xb).squeeze(1) for n in nets]).mean(0).numpy() + ym
    print(f"fold {k}: l2 {best}, inner mse {min(errs):.4f}, fold mse {((pred[test] - y[test]) ** 2).mean():.4f}")

print(f"variance {y.var():.4f}")
print(f"cv r2 {1 - ((pred - y) ** 2).mean() / y.var():.4f}")
