import os
import random

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

data = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
mix = data.drop(columns=["age", "compressive_strength"]).astype(str).agg("|".join, axis=1)
X = data.drop(columns="compressive_strength").values
X[:, -1] = np.log(X[:, -1])
y = data[["compressive_strength"]].values
# one mix is tested at several ages, keep all its rows on one side
tr, te = next(GroupShuffleSplit(1, test_size=0.25, random_state=SEED).split(X, y, mix))
xs, ys = StandardScaler().fit(X[tr]), StandardScaler().fit(y[tr])
Xtr, Xte = torch.Tensor(xs.transform(X[tr])), torch.Tensor(xs.transform(X[te]))
ytr = torch.Tensor(ys.transform(y[tr]))


def init_weights(m):
    if isinstance(m, nn.Linear):
        nn.init.constant_(m.weight, 0.05)
        nn.init.zeros_(m.bias)


def make_model():
    return nn.Sequential(
        nn.Linear(Xtr.shape[1], 64), nn.LeakyReLU(),
        nn.Linear(64, 64), nn.LeakyReLU(),
        nn.Linear(64, 1),
    )


model = make_model()
model.apply(init_weights)
opt = torch.optim.Adam(model.parameters(), lr=0.002)

for epoch in range(1, 121):
    idx = np.random.permutation(len(Xtr))
    losses = []
    for part in np.array_split(idx, len(idx) // 32):
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(Xtr[part]), ytr[part])
        loss.backward()
        opt.step()
        losses.append(loss.item())
    if epoch % 20 == 0:
        print("epoch %3d  loss %.4f" % (epoch, np.mean(losses)))

with torch.no_grad():
    pred = ys.inverse_transform(model(Xte).numpy())
print("RMSE %.2f MPa" % np.sqrt(np.mean((pred - y[te]) ** 2)))
print("test R2: %.4f" % r2_score(y[te], pred))
