import argparse
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=40)
ap.add_argument("--batch_size", type=int, default=64)
ap.add_argument("--accumulation_steps", type=int, default=4)
ap.add_argument("--lr", type=float, default=3e-3)
args = ap.parse_args()

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
df = df.drop(columns=["casual", "registered"])
y = np.log1p(df.pop("bikers").values.astype(np.float32))
df["hr"] = df["hr"].astype(str)
df = df.drop(columns=["day", "atemp"])
X = pd.get_dummies(df, columns=["hr", "mnth", "weathersit", "season", "weekday"]).astype(np.float32).values

order = np.random.permutation(len(X))
tr, va = order[:200 * 7], order[200 * 7:200 * 7 + 2000]
mu, sd = X[tr].mean(0), X[tr].std(0) + 1e-6
ym, ys = y[tr].mean(), y[tr].std()
Xn, yn = (X - mu) / sd, (y - ym) / ys


def make(ix, shuffle):
    return DataLoader(TensorDataset(torch.from_numpy(Xn[ix]), torch.from_numpy(yn[ix]).unsqueeze(1)),
                      batch_size=args.batch_size, shuffle=shuffle)


train_loader, val_loader = make(tr, True), make(va, False)
model = nn.Sequential(nn.Linear(X.shape[1], 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
criterion = nn.MSELoss()

for epoch in range(args.epochs):
    model.train()
    optimizer.zero_grad()
    epoch_loss = 0.0
    for step, (xb, yb) in enumerate(train_loader):
        loss = criterion(model(xb), yb) / args.accumulation_steps
        loss.backward()
        epoch_loss += loss.item() * args.accumulation_steps
        if (step + 1) % args.accumulation_steps == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        se = sum(((model(xb) - yb) ** 2).sum().item() for xb, yb in val_loader)
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1} train {epoch_loss / len(train_loader):.4f} valid R2 {1 - se / ((yn[va] - yn[va].mean()) ** 2).sum():.4f}")
