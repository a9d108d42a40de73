import argparse
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn

parser = argparse.ArgumentParser()
parser.add_argument("--quantile", type=float, default=0.5)
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--lr", type=float, default=2e-3)
args = parser.parse_args()

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
target = np.log1p(df["bikers"].values)
feats = pd.get_dummies(df[["season", "hr", "weekday", "workingday", "weathersit", "temp", "hum", "windspeed"]],
                       columns=["season", "hr", "weekday", "weathersit"]).astype("float32")
num = ["temp", "hum", "windspeed"]
idx = np.random.permutation(len(df))
cut = int(0.8 * len(df))
tr, te = idx[:cut], idx[cut:]
feats[num] = (feats[num] - feats.iloc[tr][num].mean()) / feats.iloc[tr][num].std()
X = torch.tensor(feats.values)
y = torch.tensor(target, dtype=torch.float32)


def pinball(pred, y, q):
    e = y - pred
    return torch.max(q * e, (q - 1) * e).mean()


net = nn.Sequential(
    nn.Linear(X.shape[1], 64), nn.ReLU(),
    nn.Linear(64, 32), nn.ReLU(),
    nn.Linear(32, 1),
)
opt = torch.optim.Adam(net.parameters(), lr=args.lr)

for ep in range(args.epochs):
    np.random.shuffle(tr)
    losses = []
    for s in range(0, len(tr), args.batch):
        rows = tr[s:s + args.batch]
        pred = net(X[rows])
        loss = pinball(pred, y[rows], args.quantile)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    print("epoch", ep, "pinball", round(float(np.mean(losses)), 4))

with torch.no_grad():
    p = net(X[te]).numpy().ravel()
print("final test MAE (log1p)", round(float(np.abs(p - target[te]).mean()), 4))
