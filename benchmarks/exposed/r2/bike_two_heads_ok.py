# casual / registered demand: a shared trunk and one head per group of riders
import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ.get("DATA", "."), "bikeshare.csv"))
df["hr"] = df["hr"].astype(int)
X = pd.concat([
    df[["temp", "atemp", "hum", "windspeed", "workingday", "holiday"]].astype(float),
    pd.get_dummies(df["hr"], prefix="hr", dtype=float),
    pd.get_dummies(df["mnth"], prefix="m", dtype=float),
    pd.get_dummies(df["weekday"], prefix="wd", dtype=float),
    pd.get_dummies(df["weathersit"], prefix="w", dtype=float),
], axis=1).to_numpy(np.float32)
Y = np.log1p(df[["casual", "registered"]].to_numpy(np.float32))

perm = np.random.permutation(len(X))
tr, te = perm[:6800], perm[6800:]
mu, sd = X[tr].mean(0), X[tr].std(0) + 1e-6
X = torch.tensor(np.clip((X - mu) / sd, -5, 5))
ym, ys = Y[tr].mean(0), Y[tr].std(0)
Y = torch.tensor((Y - ym) / ys)


class Trunk(nn.Module):
    def __init__(self, d, h=96):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU())

    def forward(self, x):
        return self.net(x)


def head(h=96):
    return nn.Sequential(nn.Linear(h, 32), nn.ReLU(), nn.Linear(32, 1))


trunk, casual, registered = Trunk(X.shape[1]), head(), head()
opt_trunk = torch.optim.SGD(trunk.parameters(), lr=0.02, momentum=0.9)
opt_heads = torch.optim.SGD(list(casual.parameters()) + list(registered.parameters()), lr=0.05, momentum=0.9)
mse = nn.MSELoss()

for epoch in range(12):
    trunk.train(); casual.train(); registered.train()
    logs = []
    for b in torch.randperm(len(tr)).split(64):
        rows = tr[b.numpy()]
        x, y = X[rows], Y[rows]
        z = trunk(x)
        loss_c = mse(casual(z).squeeze(1), y[:, 0])
        loss_r = mse(registered(z).squeeze(1), y[:, 1])
        opt_trunk.zero_grad(); opt_heads.zero_grad()
        (loss_c + loss_r).backward()
        nn.utils.clip_grad_norm_(trunk.parameters(), 1.0)
        opt_trunk.step()
        opt_heads.step()
        logs.append((loss_c.item(), loss_r.item()))
    trunk.eval(); casual.eval(); registered.eval()
    with torch.no_grad():
        z = trunk(X[te])
        pred = torch.stack([casual(z).squeeze(1), registered(z).squeeze(1)], 1)
        r2 = 1 - ((pred - Y[te]) ** 2).mean(0) / Y[te].var(0)
    c, r = np.mean(logs, axis=0)
    print(f"epoch {epoch + 1:2d}  casual {c:.4f}  registered {r:.4f}  held-out R2 casual {r2[0]:.4f} registered {r2[1]:.4f}")
