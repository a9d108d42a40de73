"""Kitchen quality of Ames houses (Fair < Typical < Good < Excellent) as an ordinal target: cumulative logits with shared weights."""
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
levels = {"Po": 0, "Fa": 0, "TA": 1, "Gd": 2, "Ex": 3}
y = df["Kitchen.Qual"].map(levels).to_numpy()
cols = ["area", "price", "Overall.Qual", "Overall.Cond", "Year.Built", "Year.Remod.Add", "Total.Bsmt.SF", "Full.Bath",
        "TotRms.AbvGrd", "Fireplaces", "Garage.Cars", "Mas.Vnr.Area", "Lot.Area", "BsmtFin.SF.1", "Yr.Sold"]
X = df[cols].astype(float).copy()
for c in ["area", "price", "Lot.Area"]:
    X[c] = np.log(X[c])
X["exter"] = df["Exter.Qual"].map({"Fa": 0, "TA": 1, "Gd": 2, "Ex": 3}).fillna(1)
X["heat"] = df["Heating.QC"].map({"Po": 0, "Fa": 1, "TA": 2, "Gd": 3, "Ex": 4})

perm = np.random.permutation(len(y))
te, tr = perm[:900], perm[900:]
X = X.fillna(X.iloc[tr].median())
X = ((X - X.iloc[tr].mean()) / X.iloc[tr].std()).clip(-5, 5).to_numpy(np.float32)
X, Y = torch.tensor(X), torch.tensor(y)
above = (Y[:, None] > torch.arange(3)).float()          # P(y > k), k = 0, 1, 2


class Ordinal(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(d, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 1, bias=False))
        self.first = nn.Parameter(torch.tensor(4.0))
        self.gaps = nn.Parameter(torch.tensor([3.5, 3.5]))

    def forward(self, x):
        cuts = self.first - torch.cat([torch.zeros(1), F.softplus(self.gaps).cumsum(0)])
        return self.score(x) + cuts


model = Ordinal(X.shape[1])
opt = torch.optim.Adam(model.parameters(), lr=1.2e-2, weight_decay=1e-3)
epochs, batch = 64, 64
sched = torch.optim.lr_scheduler.CyclicLR(opt, base_lr=2e-4, max_lr=1.2e-2, step_size_up=len(tr) // batch * 4,
                                          mode="triangular2", cycle_momentum=False)
rows = torch.tensor(tr)
for epoch in range(epochs):
    model.train()
    s = 0.0
    for j in rows[torch.randperm(len(rows))].split(batch):
        loss = F.binary_cross_entropy_with_logits(model(X[j]), above[j])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        s += loss.item() * len(j)
    if epoch % 8 == 0:
        print(f"epoch {epoch + 1:2d}  loss {s / len(rows):.4f}  lr {sched.get_last_lr()[0]:.5f}")

model.eval()
with torch.no_grad():
    z = model(X[te])
    pred = (z > 0).sum(1)
print("class counts", np.bincount(y[te]), "accuracy %.3f" % (pred == Y[te]).float().mean().item(),
      "mean abs. error in levels %.4f" % (pred - Y[te]).abs().float().mean().item())
print("held-out ordinal loss %.4f" % F.binary_cross_entropy_with_logits(z, above[te]).item())
