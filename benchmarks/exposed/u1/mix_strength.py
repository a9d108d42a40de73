"""Compressive strength of concrete with a robust loss (log-cosh).
Mixes in the test part do not occur in the training part."""
import os
import random
import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupShuffleSplit

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


def get_data():
    t = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
    mix = t.columns[:7].tolist()
    group = t.groupby(mix).ngroup().to_numpy()
    t["age"] = np.log(t["age"])
    t["wc"] = t["water"] / (t["cement"] + t["blast_furnace_slag"] + t["fly_ash"])
    y = t.pop("compressive_strength").to_numpy(np.float32)
    x = t.to_numpy(np.float32)
    a, b = next(GroupShuffleSplit(1, test_size=0.25, random_state=seed).split(x, y, group))
    m, s = x[a].mean(0), x[a].std(0)
    ym, ys = y[a].mean(), y[a].std()
    x, y = (x - m) / s, (y - ym) / ys
    return [torch.from_numpy(v) for v in (x[a], y[a], x[b], y[b])]


def log_cosh(pred, target):
    d = (pred - target).abs()
    return (d + torch.log1p(torch.exp(-2 * d)) - np.log(2.0)).mean()


xa, ya, xb, yb = get_data()
width = 48
net = torch.nn.Sequential(
    torch.nn.Linear(xa.shape[1], width), torch.nn.Tanh(),
    torch.nn.Linear(width, width), torch.nn.Tanh(),
    torch.nn.Linear(width, 1))
n_epochs, lr = 100, 4e-3
opt = torch.optim.NAdam(net.parameters(), lr=lr)
plan = torch.optim.lr_scheduler.PolynomialLR(opt, total_iters=n_epochs, power=1.0)

for epoch in range(n_epochs):
    run = 0.0
    for rows in torch.randperm(len(xa)).split(64):
        loss = log_cosh(net(xa[rows]), ya[rows])
        opt.zero_grad()
        loss.backward()
        opt.step()
        run += loss.item() * len(rows)
    plan.step()
    if epoch % 10 == 9:
        print(f"{epoch + 1:4d}  log-cosh {run / len(xa):.4f}")

with torch.no_grad():
    guess = net(xb).squeeze(1)
    r2 = 1 - ((yb - guess) ** 2).mean() / ((yb - yb.mean()) ** 2).mean()
    r2_train = 1 - ((ya - net(xa).squeeze(1)) ** 2).mean() / ya.var()
print(f"R2 known mixes {r2_train:.4f}, unseen mixes {r2:.4f}")
