# Ames house prices, log scale, standardised
import os, random
import numpy as np, pandas as pd, torch
from torch import nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import r2_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
y = np.log(df.pop("Sale_Price").to_numpy(dtype=float))
num = df.select_dtypes("number").columns
for c in num:
    if c in ("Lot_Area", "Gr_Liv_Area", "First_Flr_SF"):
        df[c] = np.log(df[c])
cat = [c for c in df.columns if c not in num]
dummies = pd.get_dummies(df[cat], dtype=float)
dummies = dummies.loc[:, dummies.sum() >= 20]

tr, te = train_test_split(np.arange(len(df)), test_size=0.25, random_state=SEED)
sx = StandardScaler().fit(df[num].iloc[tr])
sy = StandardScaler().fit(y[tr, None])
X = np.hstack([np.clip(sx.transform(df[num]), -4, 4), dummies.to_numpy()])
X = torch.tensor(X, dtype=torch.float32)
Y = torch.tensor(sy.transform(y[:, None]), dtype=torch.float32)


def mlp(sizes):
    """sizes = [in, hidden..., out]"""
    layers = []
    for a, b in zip(sizes[:-1], sizes[1:]):
        layers.append(nn.Linear(a, b))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


net = mlp([X.shape[1], 64, 32, 1])
opt = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 2e-3, total_steps=10 * ((len(tr) + 31) // 32))
loss_fn = nn.SmoothL1Loss()

tr = torch.as_tensor(tr)
for epoch in range(10):
    net.train()
    run = 0.0
    for b in tr[torch.randperm(len(tr))].split(32):
        opt.zero_grad()
        loss = loss_fn(net(X[b]), Y[b])
        loss.backward()
        opt.step()
        sched.step()
        run += loss.item() * len(b)
    if (epoch + 1) % 2 == 0:
        net.eval()
        with torch.no_grad():
            p = net(X[te])
        print(epoch + 1, "train", round(run / len(tr), 4), "test R2", round(r2_score(Y[te], p), 4))
