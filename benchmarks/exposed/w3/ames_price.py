"""House prices in Ames, small MLP. Target = log10(price), big outliers removed as De Cock advises."""
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

EPOCHS = 25
LR = 3e-3
WIDTH = 96

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
df = df[df["Gr_Liv_Area"] < 4000].reset_index(drop=True)
y = np.log10(df.pop("Sale_Price").to_numpy(dtype=np.float64))

# shuffled split done by hand: 70 / 15 / 15
idx = np.random.permutation(len(df))
n_tr, n_va = int(0.70 * len(df)), int(0.15 * len(df))
tr, va, te = idx[:n_tr], idx[n_tr:n_tr + n_va], idx[n_tr + n_va:]

num = [c for c in df.columns if df[c].dtype.kind in "if"]
cat = [c for c in df.columns if c not in num]
Xn = df[num].to_numpy(dtype=np.float64)
for j in range(Xn.shape[1]):                      # areas are long-tailed
    if Xn[:, j].min() >= 0 and Xn[tr, j].max() > 200:
        Xn[:, j] = np.log1p(Xn[:, j])
Xn = (Xn - Xn[tr].mean(0)) / (Xn[tr].std(0) + 1e-8)
Xn = np.clip(Xn, -5, 5)
Xc = pd.get_dummies(df[cat]).to_numpy(dtype=np.float64)
Xc = Xc[:, Xc[tr].sum(0) >= 8]                    # drop levels almost never seen
X = np.hstack([Xn, Xc]).astype(np.float32)

mu, sd = y[tr].mean(), y[tr].std()
t = ((y - mu) / sd).astype(np.float32)[:, None]

X, t = torch.from_numpy(X), torch.from_numpy(t)
loader = DataLoader(TensorDataset(X[tr], t[tr]), batch_size=64, shuffle=True)

net = nn.Sequential(
    nn.Linear(X.shape[1], WIDTH), nn.SiLU(), nn.Dropout(0.3),
    nn.Linear(WIDTH, WIDTH // 2), nn.SiLU(), nn.Dropout(0.1),
    nn.Linear(WIDTH // 2, 1),
)
opt = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.1)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=LR, total_steps=EPOCHS * len(loader), pct_start=0.2)
crit = nn.SmoothL1Loss()


def r2(rows):
    net.eval()
    with torch.no_grad():
        p = net(X[rows])
    return 1 - ((p - t[rows]) ** 2).mean().item() / t[rows].var(unbiased=False).item()


for ep in range(1, EPOCHS + 1):
    net.train()
    tot = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        loss = crit(net(xb), yb)
        loss.backward()
        opt.step()
        sched.step()
        tot += loss.item() * len(xb)
    if ep % 5 == 0 or ep == 1:
        print(f"[{ep:02d}/{EPOCHS}] huber={tot / n_tr:.4f}  val R2={r2(va):.4f}  lr={sched.get_last_lr()[0]:.2e}")

print(f"test R2 {r2(te):.4f}")
