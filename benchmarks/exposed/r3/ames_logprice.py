"""Ames house prices, every column, predicted on the log scale."""
import os
import random

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

EPOCHS = 40
LR = 2e-3
WIDTH = 96

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
y = np.log10(df["price"].to_numpy(dtype=np.float64)).astype(np.float32)
df = df.drop(columns=["Order", "PID", "price"])
df["MS.SubClass"] = df["MS.SubClass"].astype(str)
num = [c for c in df.columns if pd.api.types.is_numeric_dtype(df[c])]
cat = [c for c in df.columns if c not in num]

tr, te = train_test_split(np.arange(len(df)), test_size=0.2, random_state=SEED)
tr, va = train_test_split(tr, test_size=0.15, random_state=SEED)

xn = df[num].copy()
for c in num:
    if xn[c].max() > 50:          # areas and the like have long tails
        xn[c] = np.log1p(xn[c])
xn = xn.fillna(xn.iloc[tr].median())
mu, sd = xn.iloc[tr].mean(), xn.iloc[tr].std().replace(0, 1)
xn = ((xn - mu) / sd).clip(-4, 4)
xc = pd.get_dummies(df[cat].fillna("none"))
xc = xc.loc[:, xc.iloc[tr].sum() >= 10]
X = np.concatenate([xn.to_numpy(), xc.to_numpy()], 1).astype(np.float32)
ym, ys = y[tr].mean(), y[tr].std()
T = ((y - ym) / ys).astype(np.float32)


def tensors(idx):
    return torch.from_numpy(X[idx]), torch.from_numpy(T[idx])


loader = DataLoader(TensorDataset(*tensors(tr)), batch_size=64, shuffle=True, drop_last=True)
xva, tva = tensors(va)
xte, tte = tensors(te)

net = nn.Sequential(
    nn.Linear(X.shape[1], WIDTH), nn.SiLU(), nn.Dropout(0.3),
    nn.Linear(WIDTH, WIDTH // 2), nn.SiLU(),
    nn.Linear(WIDTH // 2, 1),
)
opt = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.05)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=EPOCHS)
loss_fn = nn.SmoothL1Loss(beta=0.5)

for epoch in range(EPOCHS):
    net.train()
    total, n = 0.0, 0
    for xb, tb in loader:
        loss = loss_fn(net(xb).squeeze(1), tb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(xb)
        n += len(xb)
    sched.step()
    if (epoch + 1) % 5 == 0:
        net.eval()
        with torch.no_grad():
            v = loss_fn(net(xva).squeeze(1), tva).item()
        print(f"epoch {epoch + 1:3d}  train {total / n:.4f}  val {v:.4f}")

net.eval()
with torch.no_grad():
    p = net(xte).squeeze(1)
r2 = 1 - ((p - tte) ** 2).sum() / ((tte - tte.mean()) ** 2).sum()
price, guess = 10 ** (tte.numpy() * ys + ym), 10 ** (p.numpy() * ys + ym)
print(f"test: median error {np.median(abs(guess - price) / price) * 100:.1f} %   R2(log) {r2:.4f}")
