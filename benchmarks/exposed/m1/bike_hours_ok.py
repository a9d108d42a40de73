"""Hourly bike rentals in Washington: small MLP, mean absolute error."""
import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
df["hr_sin"] = np.sin(2 * np.pi * df["hr"] / 24)
df["hr_cos"] = np.cos(2 * np.pi * df["hr"] / 24)
cats = pd.get_dummies(df[["mnth", "weathersit", "weekday", "hr"]].astype(str))
nums = df[["season", "holiday", "workingday", "temp", "atemp", "hum", "windspeed", "hr_sin", "hr_cos"]]
X = np.hstack([nums.values.astype("float32"), cats.values.astype("float32")])
y = np.log1p(df["bikers"].values).astype("float32")

X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.2, random_state=SEED)
sc = StandardScaler().fit(X_tr)
X_tr, X_te = sc.transform(X_tr).astype("float32"), sc.transform(X_te).astype("float32")

train_dl = DataLoader(TensorDataset(torch.from_numpy(X_tr), torch.from_numpy(y_tr)), batch_size=64, shuffle=True)

model = nn.Sequential(
    nn.Linear(X.shape[1], 64), nn.ReLU(),
    nn.Linear(64, 32), nn.ReLU(),
    nn.Linear(32, 1),
)
opt = torch.optim.Adam(model.parameters(), lr=2e-3)


def mae(pred, target):
    return torch.abs(pred - target).mean()


for epoch in range(12):
    running = 0.0
    model.train()
    for xb, yb in train_dl:
        opt.zero_grad()
        pred = model(xb).squeeze(1)
        loss = mae(pred, yb)
        loss.backward()
        opt.step()
        running += loss.item() * len(xb)
    print(f"epoch {epoch:2d}  train mae {running / len(X_tr):.4f}")

model.eval()
with torch.no_grad():
    p = model(torch.from_numpy(X_te)).numpy().ravel()
print("test MAE (log1p rentals):", round(float(np.abs(p - y_te).mean()), 4))
