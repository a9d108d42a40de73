# Next-hour electricity load from the last two days (simulated substation)
import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)

# 200 days of hourly values
hours = np.arange(24 * 200)
day = np.sin(2 * np.pi * (hours - 7) / 24) + 0.5 * np.sin(4 * np.pi * (hours - 3) / 24)
week = np.where((hours // 24) % 7 >= 5, -0.8, 0.3)
ar = np.zeros(len(hours))
for i in range(1, len(hours)):
    ar[i] = 0.85 * ar[i - 1] + rng.normal(0, 0.18)
load = 420 + 70 * day + 45 * week + 55 * ar

split = 24 * 160
mean, std = load[:split].mean(), load[:split].std()
series = ((load - mean) / std).astype(np.float32)

LOOKBACK = 48


def windows(s):
    X = np.lib.stride_tricks.sliding_window_view(s, LOOKBACK + 1)
    return torch.tensor(X[:, :-1].copy()), torch.tensor(X[:, -1:].copy())


X_train, y_train = windows(series[:split])
X_test, y_test = windows(series[split - LOOKBACK:])


class Forecaster(nn.Module):
    def __init__(self, lookback, width=64):
        super().__init__()
        self.l1 = nn.Linear(lookback, width)
        self.l2 = nn.Linear(width, width)
        self.l3 = nn.Linear(width, 1)

    def forward(self, x):
        x = torch.relu(self.l1(x))
        x = torch.relu(self.l2(x))
        x = torch.relu(self.l3(x))
        return x


model = Forecaster(LOOKBACK)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.MSELoss()

for epoch in range(15):
    perm = torch.randperm(len(X_train))
    epoch_loss = 0
    for i in range(0, len(perm), 64):
        b = perm[i:i + 64]
        loss = criterion(model(X_train[b]), y_train[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(b)
    if epoch % 5 == 4:
        print(f"Epoch {epoch + 1}: {epoch_loss / len(perm):.4f}")

with torch.no_grad():
    rmse = torch.sqrt(criterion(model(X_test), y_test)).item() * std
print(f"test RMSE: {rmse:.2f} MW")
