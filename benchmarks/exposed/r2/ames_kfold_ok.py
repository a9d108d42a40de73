import copy
import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ.get("DATA", "."), "ames.csv"))
numeric = ["area", "Lot.Area", "Overall.Qual", "Overall.Cond", "Year.Built", "Year.Remod.Add", "Total.Bsmt.SF",
           "BsmtFin.SF.1", "X1st.Flr.SF", "Full.Bath", "Bedroom.AbvGr", "TotRms.AbvGrd", "Fireplaces",
           "Garage.Cars", "Garage.Area", "Wood.Deck.SF", "Open.Porch.SF"]
X = df[numeric].fillna(0)
X["Lot.Area"] = np.log(X["Lot.Area"])
X = pd.concat([X, pd.get_dummies(df["MS.Zoning"], dtype=float), pd.get_dummies(df["Bldg.Type"], dtype=float)], axis=1)
X = X.to_numpy(np.float32)
y = np.log(df["price"].to_numpy(np.float32))

base_model = nn.Sequential(
    nn.Linear(X.shape[1], 64), nn.ReLU(), nn.Dropout(0.1),
    nn.Linear(64, 32), nn.ReLU(),
    nn.Linear(32, 1),
)
loss_fn = nn.SmoothL1Loss()

kf = KFold(n_splits=4, shuffle=True, random_state=SEED)
scores = []
for fold, (tr, te) in enumerate(kf.split(X)):
    # every fold begins from the same initial weights
    model = copy.deepcopy(base_model)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)

    sc = StandardScaler().fit(X[tr])
    mu, sd = y[tr].mean(), y[tr].std()
    Xtr = torch.tensor(sc.transform(X[tr])).clamp(-6, 6)
    Xte = torch.tensor(sc.transform(X[te])).clamp(-6, 6)
    ytr = torch.tensor((y[tr] - mu) / sd)

    model.train()
    for epoch in range(18):
        idx = torch.randperm(len(Xtr))
        total = 0.0
        for k in range(0, len(idx), 64):
            b = idx[k:k + 64]
            pred = model(Xtr[b]).squeeze(1)
            loss = loss_fn(pred, ytr[b])
            model.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(b)
    model.eval()
    with torch.no_grad():
        pred = model(Xte).squeeze(1).numpy() * sd + mu
    rmse = float(np.sqrt(np.mean((pred - y[te]) ** 2)))
    r2 = 1 - rmse ** 2 / y[te].var()
    scores.append((rmse, r2))
    print(f"fold {fold}: train loss {total / len(idx):.4f}  RMSLE {rmse:.4f}  R2 {r2:.3f}")

print("mean over folds: RMSLE %.4f  R2 %.4f" % tuple(np.mean(scores, axis=0)))
