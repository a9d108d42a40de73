"""Which penguin is it?  Tiny net, tiny table.

usage: SEED=1 DATA=... python penguin_species.py --epochs 60
"""
import argparse
import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.model_selection import train_test_split

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=60)
ap.add_argument("--lr", type=float, default=0.01)
ap.add_argument("--hidden", type=int, default=12)
ap.add_argument("--batch", type=int, default=40)
args = ap.parse_args()

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv"))
species = sorted(df.species.unique())
y = df.species.map({s: i for i, s in enumerate(species)}).to_numpy()
num = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]

idx_tr, idx_te = train_test_split(np.arange(len(df)), test_size=0.3, stratify=y, random_state=seed)
fill = df.iloc[idx_tr][num].median()
X = df[num].fillna(fill)
X["male"] = (df.sex == "male").astype(float)
X["female"] = (df.sex == "female").astype(float)      # both 0 when nobody looked
X = torch.tensor(X.to_numpy(), dtype=torch.float32)
y = torch.tensor(y)
Xtr, ytr, Xte, yte = X[idx_tr], y[idx_tr], X[idx_te], y[idx_te]
print(len(Xtr), "birds to learn from,", len(Xte), "to test on")

# grams and millimetres go in as they are; the first BatchNorm does the scaling
net = nn.Sequential(
    nn.BatchNorm1d(X.shape[1]),
    nn.Linear(X.shape[1], args.hidden),
    nn.Tanh(),
    nn.Linear(args.hidden, len(species)),
)
opt = torch.optim.Adam(net.parameters(), lr=args.lr)
lossf = nn.CrossEntropyLoss()

for ep in range(args.epochs):
    net.train()
    for rows in torch.randperm(len(Xtr)).split(args.batch):
        opt.zero_grad()
        loss = lossf(net(Xtr[rows]), ytr[rows])
        loss.backward()
        opt.step()
    if ep % 10 == 9:
        net.eval()
        with torch.no_grad():
            tr = lossf(net(Xtr), ytr).item()
            acc = (net(Xte).argmax(1) == yte).float().mean().item()
        print(f"epoch {ep + 1:3d}  train loss {tr:.4f}  test accuracy {acc:.4f}")
