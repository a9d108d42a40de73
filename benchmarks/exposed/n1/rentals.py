"""Hourly bike rentals. First 19 days of each month for training, the rest for testing (as on Kaggle)."""
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
month_start = df["mnth"].ne(df["mnth"].shift())
first_day = df["day"].where(month_start).ffill()
day_of_month = df["day"] - first_day + 1

feats = df[["season", "hr", "holiday", "weekday", "workingday", "temp", "hum", "windspeed"]].astype(float)
feats = pd.concat([feats, pd.get_dummies(df["weathersit"]).astype(float)], axis=1)
target = np.log1p(df["bikers"].values)

is_train = (day_of_month <= 19).values
X_train, X_test = feats[is_train].values, feats[~is_train].values
y_train, y_test = target[is_train], target[~is_train]
mu, sd = X_train.mean(0), X_train.std(0)
sd[sd == 0] = 1.0
X_train = torch.tensor((X_train - mu) / sd).float()
X_test = torch.tensor((X_test - mu) / sd).float()
y_mean, y_std = y_train.mean(), y_train.std()
y_train_t = torch.tensor((y_train - y_mean) / y_std).float().unsqueeze(1)
loader = DataLoader(TensorDataset(X_train, y_train_t), batch_size=64, shuffle=True)


class RentalNet(nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.fc1 = nn.Linear(n_features, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 1)

    def forward(self, x):
        x = self.fc1(x)
        x = self.fc2(x)
        return self.fc3(x)


model = RentalNet(X_train.shape[1])
mse = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(25):
    hist = []
    for xb, yb in loader:
        loss = mse(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hist.append(loss.item())
    if epoch % 5 == 4:
        print("epoch {:3d}  train mse {:.4f}".format(epoch + 1, np.mean(hist)))

with torch.no_grad():
    pred = model(X_test).squeeze(1).numpy() * y_std + y_mean
print("RMSLE: %.4f" % np.sqrt(np.mean((pred - y_test) ** 2)))
print("test R2 (log): %.4f" % (1 - np.sum((pred - y_test) ** 2) / np.sum((y_test - y_test.mean()) ** 2)))
