"""
Ordinal regression with consistent rank logits (CORAL, Cao et al. 2020).
Ames houses, price bands as ordered classes.
"""
import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
K = 6
price = df["price"].to_numpy()
feats = ["area", "Lot.Area", "Overall.Qual", "Overall.Cond", "Year.Built", "Year.Remod.Add", "BsmtFin.SF.1",
         "Total.Bsmt.SF", "Full.Bath", "Half.Bath", "Bedroom.AbvGr", "TotRms.AbvGrd", "Fireplaces", "Garage.Cars",
         "Garage.Area", "Wood.Deck.SF", "Open.Porch.SF"]
X = df[feats].fillna(0).copy()
X["area"], X["Lot.Area"] = np.log(X["area"]), np.log(X["Lot.Area"])
X = np.hstack([X.to_numpy("float32"), pd.get_dummies(df["Neighborhood"]).to_numpy("float32")])

perm = np.random.permutation(len(X))
tr, va, te = perm[:1800], perm[1800:2200], perm[2200:]
edges = np.quantile(price[tr], np.linspace(0, 1, K + 1)[1:-1])
rank = np.digitize(price, edges)
n = len(feats)
m, s = X[tr, :n].mean(0), X[tr, :n].std(0)
X[:, :n] = np.clip((X[:, :n] - m) / s, -4, 4)
X, rank = torch.tensor(X), torch.tensor(rank)
levels = (rank[:, None] > torch.arange(K - 1)).float()      # extended binary labels


class Coral(nn.Module):
    def __init__(self, d, K, hidden=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, hidden), nn.ReLU())
        self.score = nn.Linear(hidden, 1, bias=False)
        self.bias = nn.Parameter(torch.linspace(2, -2, K - 1))

    def forward(self, x):
        return self.score(self.trunk(x)) + self.bias


def evaluate(model, idx):
    model.eval()
    with torch.no_grad():
        pred = (model(X[idx]) > 0).sum(1)
    return (pred == rank[idx]).float().mean().item(), (pred - rank[idx]).abs().float().mean().item()


model = Coral(X.shape[1], K)
EPOCHS = 40
opt = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for epoch in range(EPOCHS):
    model.train()
    order = torch.tensor(tr)[torch.randperm(len(tr))]
    for idx in order.split(32):
        loss = F.binary_cross_entropy_with_logits(model(X[idx]), levels[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    sched.step()
    if epoch % 8 == 7:
        print("epoch %d  loss %.4f  val acc %.3f  val MAE %.3f" % (epoch + 1, loss.item(), *evaluate(model, va)))

print("thresholds", model.bias.data.numpy().round(2))
print("test acc %.4f  test MAE %.4f" % evaluate(model, te))
