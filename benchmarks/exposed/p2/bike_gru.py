import copy
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# %% load
df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
df["hour_sin"] = np.sin(2 * np.pi * df.hr / 24)
df["hour_cos"] = np.cos(2 * np.pi * df.hr / 24)
df["load"] = np.log1p(df.bikers)
cols = ["load", "hour_sin", "hour_cos", "workingday", "temp", "hum", "windspeed"]
values = df[cols].to_numpy("float32")
a, b = int(len(values) * 0.7), int(len(values) * 0.85)
mu, sd = values[:a].mean(0), values[:a].std(0)
values = (values - mu) / sd


# %% windows: the last 24 hours -> the next hour
class Windows(Dataset):
    def __init__(self, arr, lookback=24):
        self.arr, self.lookback = torch.from_numpy(arr), lookback

    def __len__(self):
        return len(self.arr) - self.lookback

    def __getitem__(self, i):
        j = i + self.lookback
        return self.arr[i:j], self.arr[j, 0]


train_dl = DataLoader(Windows(values[:a]), batch_size=96, shuffle=True)
val_dl = DataLoader(Windows(values[a - 24:b]), batch_size=256)
test_dl = DataLoader(Windows(values[b - 24:]), batch_size=256)


# %% model
class Forecaster(nn.Module):
    def __init__(self, n_in, hidden=32):
        super().__init__()
        self.gru = nn.GRU(n_in, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x):
        _, h = self.gru(x)
        return self.head(h[-1]).squeeze(-1)


net = Forecaster(len(cols))
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
scheduler = torch.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
loss_fn = nn.MSELoss()


def evaluate(loader):
    net.eval()
    with torch.no_grad():
        out = [(net(x), y) for x, y in loader]
    p, t = (torch.cat(z) for z in zip(*out))
    return loss_fn(p, t).item(), 1 - ((p - t) ** 2).sum().item() / ((t - t.mean()) ** 2).sum().item()


# %% train, keep the checkpoint with the best validation loss
best, best_state = float("inf"), None
for epoch in range(8):
    net.train()
    train_loss = 0.0
    for x, y in train_dl:
        opt.zero_grad()
        loss = loss_fn(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        scheduler.step()
        train_loss += loss.item()
    val_loss, val_r2 = evaluate(val_dl)
    if val_loss < best:
        best, best_state = val_loss, copy.deepcopy(net.state_dict())
    print(f"epoch {epoch:2d}  train {train_loss / len(train_dl):.4f}  val {val_loss:.4f}  val R2 {val_r2:.4f}")

net.load_state_dict(best_state)
print("test R2 %.4f" % evaluate(test_dl)[1])
