import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

data = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
# De Cock advises to leave out the few very large houses
data = data[data["area"] < 4000].drop(columns=["Order", "PID"])
price = data.pop("price").values.astype("float32")

num = data.select_dtypes("number")
num = num.fillna(num.median())
cat = pd.get_dummies(data[["Neighborhood", "Bldg.Type", "Kitchen.Qual", "Exter.Qual"]].fillna("NA"))

idx = np.random.permutation(len(data))
cut = int(len(idx) * 0.8)
train_idx, test_idx = idx[:cut], idx[cut:]

sc = StandardScaler().fit(num.values[train_idx])
X = np.hstack([sc.transform(num.values), cat.values.astype("float32")]).astype("float32")


class PriceModel:
    def __init__(self, n_in, epochs=25, batch=32, lr=1e-3):
        self.epochs, self.batch = epochs, batch
        self.net = nn.Sequential(
            nn.Linear(n_in, 64), nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(64, 32), nn.ReLU(),
            nn.Linear(32, 1),
        )
        self.optim = torch.optim.Adam(self.net.parameters(), lr=lr, weight_decay=1e-4)
        self.loss = nn.MSELoss()

    def fit(self, X, y):
        self.scale_ = float(y.std())
        self.shift_ = float(y.mean())
        X = torch.from_numpy(X)
        t = torch.from_numpy((y - self.shift_) / self.scale_).view(-1, 1)
        for ep in range(self.epochs):
            self.net.train()
            perm = torch.randperm(len(X))
            tot = 0.0
            for b in perm.split(self.batch):
                self.optim.zero_grad()
                l = self.loss(self.net(X[b]), t[b])
                l.backward()
                self.optim.step()
                tot += l.item() * len(b)
            if (ep + 1) % 5 == 0:
                print(f"[{ep + 1}] train mse {tot / len(X):.6g}")
        return self

    def predict(self, X):
        self.net.eval()
        with torch.no_grad():
            out = self.net(torch.from_numpy(X)).squeeze(1).numpy()
        return out * self.scale_ + self.shift_


model = PriceModel(X.shape[1]).fit(X[train_idx], price[train_idx])
pred = model.predict(X[test_idx])
print("MAE  %.0f" % mean_absolute_error(price[test_idx], pred))
print("R2   %.4f" % r2_score(price[test_idx], pred))
