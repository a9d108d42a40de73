# Sale price of houses from the Ames table, ported from an old Keras regressor script
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
num_cols = ["area", "Lot.Area", "Overall.Qual", "Overall.Cond", "Year.Built", "Year.Remod.Add", "Total.Bsmt.SF",
            "X1st.Flr.SF", "Full.Bath", "TotRms.AbvGrd", "Fireplaces", "Garage.Cars", "Garage.Area"]
num_cols = [c for c in num_cols if c in df.columns]
cat_cols = ["Neighborhood", "Bldg.Type", "Kitchen.Qual", "Exter.Qual"]

num = df[num_cols].fillna(df[num_cols].median())
cat = pd.get_dummies(df[cat_cols].fillna("NA"), dtype=float)
y = df["price"].to_numpy(dtype=np.float32)
num_tr, num_te, cat_tr, cat_te, y_tr, y_te = train_test_split(
    num.to_numpy(float), cat.to_numpy(float), y, test_size=0.25, random_state=seed)
mu, sd = num_tr.mean(0), num_tr.std(0)
X_tr = np.hstack([(num_tr - mu) / sd, cat_tr]).astype(np.float32)
X_te = np.hstack([(num_te - mu) / sd, cat_te]).astype(np.float32)


class Net(nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.fc1 = nn.Linear(n_in, 64)
        self.fc2 = nn.Linear(64, 64)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.out(x).squeeze(1)


class NNRegressor:
    def __init__(self, epochs=20, batch_size=32, lr=1e-3):
        self.epochs, self.batch_size, self.lr = epochs, batch_size, lr

    def fit(self, X, y):
        X = torch.from_numpy(X)
        self.net = Net(X.shape[1])
        self.y_mean, self.y_std = float(y.mean()), float(y.std())
        t = torch.from_numpy((y - self.y_mean) / self.y_std)
        opt = torch.optim.Adam(self.net.parameters(), lr=self.lr)
        for ep in range(self.epochs):
            perm = np.random.permutation(len(X))
            losses = []
            for s in range(0, len(X), self.batch_size):
                idx = perm[s:s + self.batch_size]
                loss = F.mse_loss(self.net(X[idx]), t[idx])
                opt.zero_grad()
                loss.backward()
                opt.step()
                losses.append(loss.item())
            if ep % 5 == 4:
                print("Epoch %d/%d - loss: %.4g" % (ep + 1, self.epochs, np.mean(losses)))
        return self

    @torch.no_grad()
    def predict(self, X):
        self.net.eval()
        return self.net(torch.from_numpy(X)).numpy() * self.y_std + self.y_mean


model = NNRegressor().fit(X_tr, y_tr)
pred = model.predict(X_te)
print("MAE  %.0f" % mean_absolute_error(y_te, pred))
print("R2   %.4f" % r2_score(y_te, pred))
