"""House prices in Ames: a two-layer regression network.

usage: SEED=0 DATA=... python ames_price.py [--epochs 60] [--lr 0.01]
"""
import argparse
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn

NUMERIC = ["Lot_Area", "Year_Built", "Year_Remod_Add", "Mas_Vnr_Area", "Total_Bsmt_SF", "First_Flr_SF",
           "Second_Flr_SF", "Gr_Liv_Area", "Full_Bath", "Bedroom_AbvGr", "TotRms_AbvGrd", "Fireplaces",
           "Garage_Cars", "Garage_Area", "Wood_Deck_SF", "Open_Porch_SF", "Longitude", "Latitude"]


def load(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
    df = df[df["Sale_Condition"] == "Normal"].reset_index(drop=True)
    x = df[NUMERIC].astype(float)
    x["Lot_Area"] = np.log(x["Lot_Area"])
    cats = pd.get_dummies(df[["Overall_Cond", "Bldg_Type", "Bsmt_Exposure", "Central_Air"]]).astype(float)
    y = df["Sale_Price"].to_numpy(dtype=np.float64)
    order = np.random.RandomState(seed).permutation(len(df))
    te, tr = order[:500], order[500:]
    mu, sd = x.iloc[tr].mean(), x.iloc[tr].std()
    x = np.hstack([((x - mu) / sd).to_numpy(), cats.to_numpy()])
    return x[tr], y[tr], x[te], y[te]


def r2(y, p):
    return 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=60)
    ap.add_argument("--lr", type=float, default=0.01)
    ap.add_argument("--batch", type=int, default=32)
    a = ap.parse_args()

    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

    xtr, ytr, xte, yte = load(seed)
    t_mean, t_sd = ytr.mean(), ytr.std()
    xt = torch.tensor(xtr, dtype=torch.float32)
    yt = torch.tensor((ytr - t_mean) / t_sd, dtype=torch.float32).unsqueeze(1)
    xv = torch.tensor(xte, dtype=torch.float32)

    model = nn.Sequential(
        nn.Linear(xt.shape[1], 32), nn.LeakyReLU(0.1), nn.Linear(32, 16), nn.LeakyReLU(0.1), nn.Linear(16, 1)
    )
    opt = torch.optim.SGD(model.parameters(), lr=a.lr, weight_decay=1e-4)
    mse = nn.MSELoss()
    for ep in range(a.epochs):
        perm = torch.randperm(len(xt))
        tot = 0.0
        for b in perm.split(a.batch):
            opt.zero_grad()
            loss = mse(model(xt[b]), yt[b])
            loss.backward()
            opt.step()
            tot += loss.item() * len(b)
        if ep % 10 == 0 or ep == a.epochs - 1:
            with torch.no_grad():
                p = model(xv).squeeze(1).double().numpy() * t_sd + t_mean
            print(f"{ep:4d}  train mse {tot / len(xt):.5g}   test R2 {r2(yte, p):.4f}")


if __name__ == "__main__":
    main()
