# Next-hour bike rentals from the last 24 hours, GRU
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
hour = 2 * np.pi * df["hr"] / 24
data = np.column_stack([df["bikers"], df["temp"], df["hum"], df["workingday"], np.sin(hour), np.cos(hour)]).astype("float32")
split = int(0.75 * len(data))
mean, std = data[:split].mean(0), data[:split].std(0)
data = (data - mean) / std


def to_windows(arr, look_back=24, step=1):
    xs, ys = [], []
    for i in range(0, len(arr) - look_back, step):
        xs.append(arr[i:i + look_back])
        ys.append(arr[i + look_back, 0])
    return torch.tensor(np.array(xs)), torch.tensor(np.array(ys))


class GRUForecaster(nn.Module):
    def __init__(self, n_features, hidden=32):
        super().__init__()
        self.gru = nn.GRU(n_features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.head(out[:, -1])


def rmse(y_true, y_pred):
    return torch.sqrt(torch.mean(torch.square(y_pred - y_true)) + 1e-8)


X_train, y_train = to_windows(data[:split], step=2)
X_test, y_test = to_windows(data[split:])
model = GRUForecaster(data.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
n_epochs, batch_size = 10, 64

for epoch in range(n_epochs):
    model.train()
    order = torch.randperm(len(X_train))
    hist = []
    for i in range(0, len(order), batch_size):
        idx = order[i:i + batch_size]
        optimizer.zero_grad()
        loss = rmse(y_train[idx], model(X_train[idx]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        hist.append(loss.item())
    print(f"epoch {epoch + 1}: train rmse {np.mean(hist):.4f}")

model.eval()
with torch.no_grad():
    pred = model(X_test).numpy().ravel() * std[0] + mean[0]
true = y_test.numpy() * std[0] + mean[0]
print("test MAE (bikes/h): %.1f" % np.abs(pred - true).mean())
print("test R2: %.4f" % (1 - ((pred - true) ** 2).sum() / ((true - true.mean()) ** 2).sum()))
