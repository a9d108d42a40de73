import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# 263 baseball players, log of the yearly salary (thousand dollars)
df = pd.read_csv(os.path.join(os.environ["DATA"], "hitters.csv")).dropna()
y = np.log(df.pop("Salary").values).astype("float32")
counts = [c for c in df.columns if c not in ("League", "Division", "NewLeague")]
df[counts] = np.log1p(df[counts])
X = pd.get_dummies(df, drop_first=True).values.astype("float32")


class SalaryNet:
    """One small hidden layer, averaged over a handful of random starts."""

    def __init__(self, hidden=32, members=3, lr=0.03, epochs=200, l2=0.02):
        self.hidden, self.members, self.lr, self.epochs, self.l2 = hidden, members, lr, epochs, l2

    def fit(self, X, y):
        self.sx, self.sy = StandardScaler().fit(X), StandardScaler().fit(y[:, None])
        xb = torch.from_numpy(self.sx.transform(X))
        yb = torch.from_numpy(self.sy.transform(y[:, None]))
        self.nets = []
        for _ in range(self.members):
            net = nn.Sequential(nn.Linear(xb.shape[1], self.hidden), nn.Tanh(), nn.Linear(self.hidden, 1))
            opt = torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=0)
            for _ in range(self.epochs):
                opt.zero_grad()
                penalty = sum((p ** 2).sum() for n, p in net.named_parameters() if "weight" in n)
                loss = nn.functional.mse_loss(net(xb), yb) + self.l2 * penalty
                loss.backward()
                opt.step()
            self.nets.append(net)
        self.last_loss = loss.item()
        return self

    @torch.no_grad()
    def predict(self, X):
        xb = torch.from_numpy(self.sx.transform(X))
        out = torch.stack([n(xb) for n in self.nets]).mean(0).numpy()
        return self.sy.inverse_transform(out)[:, 0]


oof = np.zeros_like(y)
for k, (tr, te) in enumerate(KFold(8, shuffle=True, random_state=SEED).split(X)):
    est = SalaryNet().fit(X[tr], y[tr])
    oof[te] = est.predict(X[te])
    print("fold", k, "objective %.3f" % est.last_loss, "rmse %.3f" % np.sqrt(np.mean((oof[te] - y[te]) ** 2)))

print("out-of-fold R2: %.3f" % (1 - np.sum((oof - y) ** 2) / np.sum((y - y.mean()) ** 2)))
