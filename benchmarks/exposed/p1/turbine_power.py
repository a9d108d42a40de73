"""Power curve of a small turbine from wind speed, air density and pitch."""
import os, random, argparse
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--batch", type=int, default=64)
args, _ = parser.parse_known_args()


class Turbine(Dataset):
    def __init__(self, n, rng):
        v = rng.uniform(3, 14, n)              # m/s
        rho = rng.normal(1.2, 0.05, n)         # kg/m3
        pitch = rng.uniform(0, 12, n)          # degrees
        cp = 0.44 * np.exp(-(pitch / 9) ** 2)
        watts = 0.5 * rho * 1520 * v ** 3 * cp
        watts *= 1 + 0.03 * rng.standard_normal(n)
        x = np.stack([(v - 8.5) / 3.2, (rho - 1.2) / 0.05, (pitch - 6) / 3.5], 1)
        self.x = torch.tensor(x, dtype=torch.float32)
        self.y = torch.tensor(watts, dtype=torch.float32).unsqueeze(1)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


rng = np.random.default_rng(SEED)
train, test = Turbine(3000, rng), Turbine(1000, rng)
dl = DataLoader(train, args.batch, shuffle=True)

net = nn.Sequential(nn.Linear(3, 48), nn.ELU(), nn.Linear(48, 48), nn.ELU(), nn.Linear(48, 1))
opt = torch.optim.Adam(net.parameters(), lr=args.lr)
mse = nn.MSELoss()

for ep in range(args.epochs):
    s = 0.0
    for xb, yb in dl:
        opt.zero_grad()
        loss = mse(net(xb), yb)
        loss.backward()
        opt.step()
        s += loss.item() * len(xb)
    if (ep + 1) % 4 == 0:
        print(f"[{ep+1:3d}] train mse {s/len(train):.6g}")

with torch.no_grad():
    pred = net(test.x)
r2 = 1 - ((pred - test.y) ** 2).sum() / ((test.y - test.y.mean()) ** 2).sum()
for p, t in list(zip(pred[:5, 0].tolist(), test.y[:5, 0].tolist())):
    print(f"predicted {p:12.4f}   actual {t:12.4f}")
print(f"test R2 {r2.item():.4f}")
