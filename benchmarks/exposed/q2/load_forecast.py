# Next-step forecast of feeder load with a GRU (hourly measurements, 36h window)
import os
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

WINDOW = 36


def make_feeder(rng, n=400):
    """One feeder: daily cycle, a slow machine cycle of its own, AR noise."""
    t = np.arange(n)
    machine = rng.uniform(9, 15)
    daily = rng.uniform(0.5, 1.0) * np.sin(2 * np.pi * (t / 24 + rng.uniform()))
    cyc = rng.uniform(0.6, 1.2) * np.sin(2 * np.pi * (t / machine + rng.uniform()))
    noise = np.zeros(n)
    for i in range(1, n):
        noise[i] = 0.5 * noise[i - 1] + 0.15 * rng.normal()
    temp = 0.6 * np.sin(2 * np.pi * t / 24) + 0.3 * rng.normal(size=n)
    load = 3 + daily + cyc + noise + 0.3 * temp
    return np.stack([load, temp, np.sin(2 * np.pi * t / 24), np.cos(2 * np.pi * t / 24)], 1)


def windows(feeders, stride):
    xs, ys = [], []
    for f in feeders:
        for s in range(0, len(f) - WINDOW, stride):
            xs.append(f[s:s + WINDOW])
            ys.append(f[s + WINDOW, 0])
    return np.array(xs, np.float32), np.array(ys, np.float32)


rng = np.random.default_rng(SEED)
train_f = [make_feeder(rng) for _ in range(24)]
test_f = [make_feeder(rng) for _ in range(12)]
x_tr, y_tr = windows(train_f, 5)
x_te, y_te = windows(test_f, 7)
mean, std = x_tr.mean((0, 1)), x_tr.std((0, 1))
x_tr, x_te = (x_tr - mean) / std, (x_te - mean) / std
y_tr, y_te = (y_tr - mean[0]) / std[0], (y_te - mean[0]) / std[0]

train_loader = DataLoader(TensorDataset(torch.from_numpy(x_tr), torch.from_numpy(y_tr)),
                          batch_size=64, shuffle=True)
test_loader = DataLoader(TensorDataset(torch.from_numpy(x_te), torch.from_numpy(y_te)), batch_size=64)


class GRUForecaster(nn.Module):
    def __init__(self, n_features, hidden=32):
        super().__init__()
        self.gru = nn.GRU(n_features, hidden)
        self.fc = nn.Linear(hidden, 1)

    def forward(self, x):              # x: (batch, window, features)
        out, _ = self.gru(x)
        return self.fc(out[:, -1]).squeeze(1)


def evaluate(model, loader):
    model.eval()
    se, n = 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            se += ((model(x) - y) ** 2).sum().item()
            n += len(y)
    return se / n


model = GRUForecaster(x_tr.shape[2])
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
loss_fn = nn.MSELoss()
for epoch in range(10):
    model.train()
    run = 0.0
    for x, y in train_loader:
        opt.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        run += loss.item() * len(y)
    print(f"epoch {epoch + 1}: train mse {run / len(y_tr):.4f}  test mse {evaluate(model, test_loader):.4f}")
