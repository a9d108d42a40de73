"""Concrete strength with a configurable MLP."""
import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class MLP(nn.Module):
    def __init__(self, in_dim, hidden=(64, 64, 64)):
        super().__init__()
        self.blocks = nn.ModuleList()
        prev = in_dim
        for h in hidden:
            self.blocks.append(nn.Sequential(nn.Linear(prev, h), nn.ReLU()))
            prev = h
        self.head = nn.Linear(prev, 1)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x).squeeze(-1)


df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
feats = [c for c in df.columns if c != "compressive_strength"]
# the same mix is tested at several ages, keep a mix on one side of the split
mix = df.groupby([c for c in feats if c != "age"], sort=False).ngroup().values
ids = np.random.permutation(mix.max() + 1)
test_mask = np.isin(mix, ids[: int(0.25 * len(ids))])

df["age"] = np.log1p(df["age"])
X = df[feats].values.astype(np.float32)
y = df["compressive_strength"].values.astype(np.float32)
m, s = X[~test_mask].mean(0), X[~test_mask].std(0)
X = (X - m) / s
ym, ys = y[~test_mask].mean(), y[~test_mask].std()

tr = TensorDataset(torch.from_numpy(X[~test_mask]), torch.from_numpy((y[~test_mask] - ym) / ys))
Xte, yte = torch.from_numpy(X[test_mask]), torch.from_numpy(y[test_mask])
print(len(tr), "train rows,", len(Xte), "test rows")

net = MLP(X.shape[1])
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
loss_fn = nn.MSELoss()

for epoch in range(1, 61):
    net.train()
    acc = 0.0
    for xb, yb in DataLoader(tr, batch_size=32, shuffle=True):
        optimizer.zero_grad()
        loss = loss_fn(net(xb), yb)
        loss.backward()
        optimizer.step()
        acc += loss.item() * len(xb)
    if epoch % 10 == 0:
        net.eval()
        with torch.no_grad():
            rmse = ((net(Xte) * ys + ym - yte) ** 2).mean().sqrt().item()
        print(f"epoch {epoch:3d}  train {acc / len(tr):.4f}  test rmse {rmse:.2f} MPa")
