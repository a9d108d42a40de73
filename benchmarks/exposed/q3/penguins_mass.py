# Body mass of Palmer penguins from the other measurements.
import os
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
num = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"]
X = pd.concat([df[num], pd.get_dummies(df[["species", "sex", "island"]], dtype=float)], axis=1)
y = df["body_mass_g"].to_numpy(dtype=np.float32)

idx = np.random.permutation(len(df))
test, train = idx[:100], idx[100:]
X = X.to_numpy(dtype=np.float32)
mean, std = X[train].mean(0), X[train].std(0)
X = (X - mean) / std
y_mean, y_std = y[train].mean(), y[train].std()

xt = torch.tensor(X[train])
yt = torch.tensor((y[train] - y_mean) / y_std).unsqueeze(1)

model = nn.Sequential(nn.Linear(X.shape[1], 8), nn.Tanh(), nn.Linear(8, 1))
opt = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.01)
loss_fn = nn.MSELoss()

# 233 rows: no need for mini-batches
for epoch in range(1, 401):
    opt.zero_grad()
    loss = loss_fn(model(xt), yt)
    loss.backward()
    opt.step()
    if epoch % 50 == 0:
        print(f"epoch {epoch:3d}  train mse (standardised) {loss.item():.4f}")

model.eval()
with torch.no_grad():
    pred = model(torch.tensor(X[test])).squeeze(1).numpy() * y_std + y_mean
err = pred - y[test]
r2 = 1 - (err ** 2).sum() / ((y[test] - y[test].mean()) ** 2).sum()
print(f"test R2 {r2:.3f}")
print(f"test RMSE {np.sqrt((err ** 2).mean()):.1f} g, MAE {np.abs(err).mean():.1f} g")
