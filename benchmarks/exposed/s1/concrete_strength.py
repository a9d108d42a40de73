# Compressive strength of concrete from its mix and age.
import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn, optim
from torch.utils.data import Dataset, DataLoader
from sklearn.model_selection import GroupShuffleSplit

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class Mixes(Dataset):
    def __init__(self, x, y):
        self.x = torch.as_tensor(x, dtype=torch.float32)
        self.y = torch.as_tensor(y, dtype=torch.float32)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class StrengthNet(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.layer1 = nn.Linear(d, 48)
        self.layer2 = nn.Linear(48, 24)
        self.layer3 = nn.Linear(24, 1)

    def forward(self, x):
        x = self.layer1(x)
        x = self.layer2(x)
        return self.layer3(x).squeeze(-1)


table = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
mix = table.columns[:7]
# the same mix was tested at several ages: keep its rows on one side
groups = table.groupby(list(mix)).ngroup()
X = table.drop(columns="compressive_strength").to_numpy()
y = table["compressive_strength"].to_numpy()
train, test = next(GroupShuffleSplit(1, test_size=0.25, random_state=SEED).split(X, y, groups))
mu, sd = X[train].mean(0), X[train].std(0)
ym, ys = y[train].mean(), y[train].std()
train_dl = DataLoader(Mixes((X[train] - mu) / sd, (y[train] - ym) / ys), batch_size=32, shuffle=True)
test_ds = Mixes((X[test] - mu) / sd, (y[test] - ym) / ys)

net = StrengthNet(X.shape[1])
opt = optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-4)
lossf = nn.MSELoss()

for epoch in range(120):
    net.train()
    run = 0
    for xb, yb in train_dl:
        opt.zero_grad()
        loss = lossf(net(xb), yb)
        loss.backward()
        opt.step()
        run += loss.item() * len(yb)
    if (epoch + 1) % 20 == 0:
        net.eval()
        with torch.no_grad():
            err = net(test_ds.x) - test_ds.y
        rmse = (err.pow(2).mean().sqrt() * ys).item()
        r2 = 1 - (err.pow(2).sum() / (test_ds.y - test_ds.y.mean()).pow(2).sum()).item()
        print(f"Epoch {epoch + 1:03d} | train MSE {run / len(train):.4f} | test RMSE {rmse:.2f} MPa | R2 {r2:.3f}")
