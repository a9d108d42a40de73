"""Motor insurance: claim frequency with exposure offset (Poisson regression network).

Most policies have no claim at all, so the deviance can fall only a little below the
one of a constant frequency.
"""
import argparse
import os
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--lr", type=float, default=6e-3)
parser.add_argument("--batch-size", type=int, default=256)
args = parser.parse_args()

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def portfolio(n):
    age = rng.uniform(18, 85, n)
    power = rng.integers(4, 13, n)
    bonus = np.clip(50 + rng.gamma(1.2, 14, n), 50, 200)
    density = rng.normal(6, 1.6, n)
    garage = rng.integers(0, 2, n)
    exposure = np.clip(rng.beta(1.2, 0.7, n), 0.02, 1.0)
    eta = (-2.4 + 0.9 * np.exp(-(age - 18) / 8) + 0.00035 * (age - 50) ** 2 + 0.018 * (bonus - 60)
           + 0.13 * (density - 6) + 0.04 * (power - 7) * (age < 30) - 0.2 * garage)
    mu = exposure * np.exp(eta)
    X = np.stack([age, power, bonus, density, garage], 1)
    return X.astype(np.float32), exposure.astype(np.float32), rng.poisson(mu).astype(np.float32), mu


def deviance(mu, y):
    mu = np.maximum(mu, 1e-9)
    return 2 * np.mean(np.where(y > 0, y * np.log(np.maximum(y, 1) / mu), 0) - (y - mu))


Xtr, etr, ytr, _ = portfolio(24000)
Xte, ete, yte, mute = portfolio(24000)
m, s = Xtr.mean(0), Xtr.std(0)
print(f"mean frequency {ytr.sum() / etr.sum():.4f}, policies without claim {np.mean(ytr == 0):.1%}")


class FrequencyNet(nn.Module):
    def __init__(self, base_rate):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 48), nn.Tanh(), nn.Linear(48, 24), nn.Tanh(), nn.Linear(24, 1))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.constant_(self.net[-1].bias, float(np.log(base_rate)))

    def forward(self, x, exposure):
        return self.net(x).squeeze(1) + exposure.log()


model = FrequencyNet(ytr.sum() / etr.sum())
data = TensorDataset(torch.tensor((Xtr - m) / s), torch.tensor(etr), torch.tensor(ytr))
loader = DataLoader(data, batch_size=args.batch_size, shuffle=True)
criterion = nn.PoissonNLLLoss(log_input=True)
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=args.epochs * len(loader))

for epoch in range(args.epochs):
    total = 0.0
    for x, e, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x, e), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(y)
    print(f"epoch {epoch + 1:2d}  poisson nll {total / len(data):.5f}")

with torch.no_grad():
    mu = model(torch.tensor((Xte - m) / s), torch.tensor(ete)).exp().numpy()
const = deviance(ete * ytr.sum() / etr.sum(), yte)
best = deviance(mute, yte)
print(f"deviance: constant frequency {const:.4f}, true frequency {best:.4f}")
print(f"test deviance {deviance(mu, yte):.5f}")
