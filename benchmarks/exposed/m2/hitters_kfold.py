"""Salaries of 263 players: k-fold by hand, a small ensemble per fold, strong decay, quantiles 0.1 / 0.5 / 0.9."""
import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.environ["DATA"] + "/hitters.csv").dropna()
y = np.log(df.pop("Salary").to_numpy())
for c in ("League", "Division", "NewLeague"):
    df[c] = (df[c] == df[c].iloc[0]).astype(float)
counts = [c for c in df.columns if c.startswith("C") or c in ("Years", "PutOuts", "Assists")]
df[counts] = np.log1p(df[counts])
X = df.to_numpy(np.float32)
TAUS = torch.tensor([0.1, 0.5, 0.9])


def pinball(q, target):
    e = target[:, None] - q
    return torch.maximum(TAUS * e, (TAUS - 1) * e).mean()


def fit(x, t, hidden=24, epochs=80, lr=3e-2):
    net = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.Tanh(), nn.Dropout(0.3), nn.Linear(hidden, 3))
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.3)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    for _ in range(epochs):
        net.train()
        for i in torch.randperm(len(x)).split(64):
            opt.zero_grad()
            loss = pinball(net(x[i]), t[i])
            loss.backward()
            opt.step()
        sched.step()
    return net.eval(), loss.item()


K, MEMBERS = 5, 2
folds = np.array_split(np.random.permutation(len(X)), K)
pred = torch.zeros(len(X), 3)
for k, test in enumerate(folds):
    train = np.concatenate([f for j, f in enumerate(folds) if j != k])
    mx, sx = X[train].mean(0), X[train].std(0)
    my, sy = y[train].mean(), y[train].std()
    xt = torch.tensor((X[train] - mx) / sx, dtype=torch.float32)
    tt = torch.tensor((y[train] - my) / sy, dtype=torch.float32)
    xv = torch.tensor((X[test] - mx) / sx, dtype=torch.float32)
    outs = []
    for m in range(MEMBERS):
        net, last = fit(xt, tt)
        with torch.no_grad():
            outs.append(net(xv))
    pred[test] = torch.stack(outs).mean(0) * sy + my
    print(f"fold {k} last training loss {last:.4f}")

t = torch.tensor(y, dtype=torch.float32)
inside = ((t > pred[:, 0]) & (t < pred[:, 2])).float().mean().item()
print(f"coverage of the 80 % band {inside:.3f}  R2 of the median {1 - ((t - pred[:, 1]) ** 2).mean().item() / t.var().item():.3f}")
print(f"cross-validated pinball {pinball(pred, t).item():.4f}")
