import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

CHANNELS = ["flow", "p_in", "p_out", "rpm", "power", "t_bearing", "t_oil", "vib_x", "vib_y", "vib_z", "valve", "level",
            "current", "voltage", "noise_db", "t_room"]


def pump_log(n, rng, anomalies=False):
    valve = rng.beta(3, 2, n)
    rpm = 900 + 700 * rng.beta(2, 2, n)
    room = rng.normal(21, 4, n)
    level = rng.uniform(1, 4, n)
    q = rpm / 1600
    flow = 80 * valve * q * (1 + 0.05 * (level - 2.5))
    p_in = 0.2 + 0.1 * level - 0.001 * flow
    p_out = p_in + 5 * q ** 2 - 0.0004 * flow ** 2
    power = 2 + 0.04 * flow * (p_out - p_in) + 3 * q ** 3
    voltage = rng.normal(400, 3, n)
    current = power * 1000 / voltage / 1.5
    bearing = room + 10 + 2.2 * power
    oil = room + 6 + 1.4 * power
    vib = 0.4 + 1.5 * np.exp(-((rpm - 1250) / 90) ** 2)
    cols = [flow, p_in, p_out, rpm, power, bearing, oil, vib, 0.7 * vib + 0.1 * q, 0.5 * vib + 0.2 * valve, valve, level,
            current, voltage, 60 + 12 * q + 4 * vib, room]
    a = np.stack(cols, 1)
    a += rng.normal(0, 0.04, a.shape) * a.std(0)
    flag = np.zeros(n, int)
    if anomalies:
        flag = (rng.random(n) < 0.1).astype(int)
        for i in np.where(flag)[0]:
            j = rng.choice([0, 2, 4, 5, 7, 8, 12, 14])
            a[i, j] += rng.choice([-1, 1]) * rng.uniform(0.5, 1.3) * a[:, j].std()
    return pd.DataFrame(a, columns=CHANNELS), flag


class AutoEncoder(nn.Module):
    def __init__(self, d_in, code=7):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(d_in, 64), nn.ReLU(),
            nn.Linear(64, 32), nn.ReLU(),
            nn.Linear(32, code))
        self.decoder = nn.Sequential(
            nn.Linear(code, 32), nn.ReLU(),
            nn.Linear(32, 64), nn.ReLU(),
            nn.Linear(64, d_in), nn.Sigmoid())

    def forward(self, x):
        z = self.encoder(x)
        return self.decoder(z)


rng = np.random.default_rng(SEED)
normal, _ = pump_log(6000, rng)
mixed, flag = pump_log(3000, rng, anomalies=True)
scaler = StandardScaler()
train_x = torch.tensor(scaler.fit_transform(normal.iloc[:5000]), dtype=torch.float32)
val_x = torch.tensor(scaler.transform(normal.iloc[5000:]), dtype=torch.float32)
test_x = torch.tensor(scaler.transform(mixed), dtype=torch.float32)

model = AutoEncoder(train_x.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6)
criterion = nn.MSELoss()
loader = DataLoader(TensorDataset(train_x), batch_size=64, shuffle=True)

history = {"train": [], "val": []}
for epoch in range(25):
    model.train()
    acc = 0
    for (xb,) in loader:
        recon = model(xb)
        loss = criterion(recon, xb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        acc += loss.item() * len(xb)
    model.eval()
    with torch.no_grad():
        val = criterion(model(val_x), val_x).item()
    history["train"].append(acc / len(train_x))
    history["val"].append(val)
    if epoch % 5 == 4:
        print(f"[{epoch + 1:3d}] train mse {history['train'][-1]:.4f}  val mse {val:.4f}")

with torch.no_grad():
    err = ((model(test_x) - test_x) ** 2).mean(1).numpy()
print(f"val mse {history['val'][-1]:.4f}  anomaly AUC {roc_auc_score(flag, err):.4f}")
