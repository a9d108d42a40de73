"""Forecast tomorrow's hourly electricity load from the last two days (1-D convolutions)."""
import os, random
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

hours = np.arange(24 * 400)
weekend = ((hours // 24) % 7 >= 5).astype(float)
drift = np.zeros(len(hours)); eps = np.random.randn(len(hours))
for i in range(1, len(hours)):
    drift[i] = 0.97 * drift[i - 1] + 0.6 * eps[i]
load = 50 + 12 * np.sin(2 * np.pi * (hours - 7) / 24) + 5 * np.sin(4 * np.pi * hours / 24) \
    - 8 * weekend + 6 * np.cos(2 * np.pi * hours / 8760) + drift + 0.8 * np.random.randn(len(hours))

PAST, AHEAD = 48, 24
split_a, split_b = int(0.7 * len(load)), int(0.85 * len(load))
m, s = load[:split_a].mean(), load[:split_a].std()
z = (load - m) / s

def windows(lo, hi, step):
    xs, cs, ys = [], [], []
    for i in range(lo + PAST, hi - AHEAD, step):
        xs.append(z[i - PAST:i])
        h = i % 24
        cs.append([np.sin(2 * np.pi * h / 24), np.cos(2 * np.pi * h / 24),
                   *np.eye(7)[(i // 24) % 7]])
        ys.append(z[i:i + AHEAD])
    return TensorDataset(*(torch.tensor(np.array(a), dtype=torch.float32) for a in (xs, cs, ys)))

train_ds, val_ds, test_ds = windows(0, split_a, 1), windows(split_a, split_b, 3), windows(split_b, len(z), 3)

class Forecaster(nn.Module):
    def __init__(self, ch=16):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, ch, 5, stride=2), nn.ReLU(), nn.Conv1d(ch, ch, 5, stride=2), nn.ReLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(ch * 9 + 9, 64), nn.ReLU(), nn.Linear(64, AHEAD))
    def forward(self, x, c):
        return self.head(torch.cat([self.conv(x[:, None]), c], 1)) + x[:, -24:]     # correction of "same as yesterday"

model = Forecaster()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.3, patience=3)
mse = nn.MSELoss()

def mean_loss(ds):
    model.eval()
    with torch.no_grad():
        x, c, y = ds.tensors
        return mse(model(x, c), y).item()

best, state = 1e9, None
for epoch in range(30):
    model.train()
    for x, c, y in DataLoader(train_ds, batch_size=64, shuffle=True):
        opt.zero_grad()
        loss = mse(model(x, c), y)
        loss.backward()
        opt.step()
    v = mean_loss(val_ds)
    sched.step(v)
    if v < best:
        best, state = v, {k: p.clone() for k, p in model.state_dict().items()}
    print(f"epoch {epoch} train {loss.item():.4f} val {v:.4f} lr {opt.param_groups[0]['lr']:.1e}")
model.load_state_dict(state)
x, c, y = test_ds.tensors
print(f"naive test MSE {mse(x[:, -24:], y).item():.4f}, model test MSE {mean_loss(test_ds):.4f}")
