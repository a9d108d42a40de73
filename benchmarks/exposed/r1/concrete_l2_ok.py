import argparse
import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=150)
ap.add_argument("--lr", type=float, default=1e-3)
ap.add_argument("--l2", type=float, default=1e-5)
ap.add_argument("--batch", type=int, default=64)
args = ap.parse_args()

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
train_df = df.sample(frac=0.8, random_state=SEED)
test_df = df.drop(train_df.index)
target = "compressive_strength"


def arrays(part):
    f = part.drop(columns=target)
    ref = train_df.drop(columns=target)
    f = (f - ref.mean()) / ref.std()
    t = (part[target] - train_df[target].mean()) / train_df[target].std()
    return (torch.tensor(f.to_numpy(), dtype=torch.float32),
            torch.tensor(t.to_numpy(), dtype=torch.float32).view(-1, 1))


X, y = arrays(train_df)
Xv, yv = arrays(test_df)
sd = train_df[target].std()

net = nn.Sequential(nn.Linear(X.shape[1], 64), nn.ReLU(),
                    nn.Linear(64, 64), nn.ReLU(),
                    nn.Linear(64, 1))
for m in net:
    if isinstance(m, nn.Linear):
        nn.init.kaiming_normal_(m.weight)
        nn.init.zeros_(m.bias)
opt = torch.optim.Adam(net.parameters(), lr=args.lr)


def penalty():
    return sum((m.weight ** 2).sum() for m in net if isinstance(m, nn.Linear))


for epoch in range(args.epochs):
    for idx in torch.randperm(len(X)).split(args.batch):
        loss = nn.functional.mse_loss(net(X[idx]), y[idx]) + args.l2 * penalty()
        opt.zero_grad()
        loss.backward()
        opt.step()
    if (epoch + 1) % 25 == 0:
        with torch.no_grad():
            mae = (net(X) - y).abs().mean() * sd
            vmae = (net(Xv) - yv).abs().mean() * sd
        print(f"{epoch + 1:4d}  loss {loss.item():.4f}  train mae {mae:.2f}  test mae {vmae:.2f} MPa")

with torch.no_grad():
    r2 = 1 - ((net(Xv) - yv) ** 2).sum() / ((yv - yv.mean()) ** 2).sum()
print(f"held-out R2 {r2.item():.4f}")
