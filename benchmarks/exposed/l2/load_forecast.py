# Day-ahead style forecasting of hourly electricity load with a GRU
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# --- data -------------------------------------------------------------
hours = pd.date_range("2019-01-01", periods=24 * 150, freq="h")
rng = np.random.RandomState(SEED)
h = hours.hour.values
daily = 6 * np.exp(-0.5 * ((h - 9) / 2.5) ** 2) + 9 * np.exp(-0.5 * ((h - 19) / 2.0) ** 2)
weekend = np.where(hours.dayofweek >= 5, 0.65, 1.0)
noise = np.zeros(len(hours))
for i in range(1, len(hours)):
    noise[i] = 0.85 * noise[i - 1] + 0.5 * rng.randn()
load = pd.Series(35 + daily * weekend + 3 * np.sin(2 * np.pi * np.arange(len(hours)) / (24 * 60)) + noise, index=hours)

split = int(len(load) * 0.8)
mu, sd = load[:split].mean(), load[:split].std()
series = ((load - mu) / sd).values.astype(np.float32)

WINDOW, HORIZON = 36, 3


def windows(s):
    X, y = [], []
    for i in range(len(s) - WINDOW - HORIZON + 1):
        X.append(s[i:i + WINDOW])
        y.append(s[i + WINDOW + HORIZON - 1])
    return torch.tensor(np.array(X)).unsqueeze(-1), torch.tensor(np.array(y)).unsqueeze(-1)


X_train, y_train = windows(series[:split])
X_test, y_test = windows(series[split:])


# --- model ------------------------------------------------------------
class GRUForecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.linear(out[:, -1])


model = GRUForecaster()
mse = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

n_epochs, bs = 10, 64
history = []
for epoch in range(n_epochs):
    perm = torch.randperm(len(X_train))
    total = 0.0
    model.train()
    for k in range(0, len(perm), bs):
        b = perm[k:k + bs]
        y_pred = model(X_train[b])
        loss = mse(y_pred, y_train[b])
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        total += loss.item() * len(b)
    model.eval()
    with torch.no_grad():
        test_rmse = (mse(model(X_test), y_test).sqrt() * sd).item()
    history.append(total / len(perm))
    print(f"epoch {epoch}: train mse {history[-1]:.4f}, test rmse {test_rmse:.3f} MW")
