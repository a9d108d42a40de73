"""Compressive strength of concrete from the mix and its age (UCI)."""
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class ConcreteRegressor:
    def __init__(self, hidden=128, lr=5e-3, epochs=200, batch=64, weight_decay=0.1):
        self.hidden, self.lr, self.epochs, self.batch, self.wd = hidden, lr, epochs, batch, weight_decay
        self.sx, self.sy = StandardScaler(), StandardScaler()

    def _tensor(self, a):
        return torch.as_tensor(a, dtype=torch.float32)

    def fit(self, X, y):
        Xs = self._tensor(self.sx.fit_transform(X))
        ys = self._tensor(self.sy.fit_transform(y.reshape(-1, 1)))
        h = self.hidden
        self.net = nn.Sequential(nn.Linear(Xs.shape[1], h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 1))
        opt = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=self.wd)
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=self.epochs)
        mse = nn.MSELoss()
        for ep in range(self.epochs):
            perm = torch.randperm(len(Xs))
            tot = 0.0
            for b in perm.split(self.batch):
                loss = mse(self.net(Xs[b]), ys[b])
                opt.zero_grad()
                loss.backward()
                opt.step()
                tot += loss.item() * len(b)
            sched.step()
            if ep % 25 == 0 or ep == self.epochs - 1:
                print("epoch", ep, "mse (scaled)", round(tot / len(Xs), 4))
        return self

    @torch.no_grad()
    def predict(self, X):
        z = self.net(self._tensor(self.sx.transform(X)))
        return self.sy.inverse_transform(z.numpy()).ravel()


if __name__ == "__main__":
    df = pd.read_csv(os.environ["DATA"] + "/concrete.csv").drop_duplicates()
    y = df.pop("compressive_strength").to_numpy()
    df["age"] = np.log(df["age"])
    df["w_c"] = df["water"] / df["cement"]
    X_tr, X_te, y_tr, y_te = train_test_split(df.to_numpy(), y, test_size=0.2, random_state=SEED)
    reg = ConcreteRegressor().fit(X_tr, y_tr)
    pred = reg.predict(X_te)
    rmse = float(np.sqrt(np.mean((pred - y_te) ** 2)))
    r2 = 1 - np.sum((pred - y_te) ** 2) / np.sum((y_te - y_te.mean()) ** 2)
    print(f"test RMSE {rmse:.2f} MPa, R2 {r2:.3f}")
