import os
import numpy as np
import torch
from torch import nn

seed = int(os.environ.get("SEED", 0))
np.random.seed(seed)
torch.manual_seed(seed)

# hourly electricity load with weather, noise grows in the evening and on cold days
n = 24 * 365
hours = np.arange(n)
hod, dow, doy = hours % 24, (hours // 24) % 7, hours / 24 % 365
temp = 12 - 11 * np.cos(2 * np.pi * doy / 365) + 4 * np.sin(2 * np.pi * (hod - 9) / 24) + np.random.randn(n) * 2.5
base = 55 + 14 * np.exp(-((hod - 8) / 2.5) ** 2) + 20 * np.exp(-((hod - 19) / 3.0) ** 2) - 9 * (dow >= 5)
base += 1.1 * np.maximum(0, 14 - temp) + 0.9 * np.maximum(0, temp - 22)
spread = 2.0 + 3.0 * (hod >= 17) + 0.15 * np.maximum(0, 14 - temp)
load = base + spread * (np.random.gamma(2.0, 1.0, n) - 2.0)

X = np.stack([np.sin(2 * np.pi * hod / 24), np.cos(2 * np.pi * hod / 24), np.sin(4 * np.pi * hod / 24),
              np.cos(4 * np.pi * hod / 24), (dow >= 5) * 2.0 - 1, (temp - 12) / 9], 1)
days = np.random.permutation(365)
day = hours // 24
train, test = np.isin(day, days[:275]), np.isin(day, days[275:])
y_mean, y_std = load[train].mean(), load[train].std()
Xt, yt = torch.tensor(X[train]).float(), torch.tensor((load[train] - y_mean) / y_std).float()
Xs, ys = torch.tensor(X[test]).float(), torch.tensor(load[test]).float()

taus = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])


def pinball(q, y):
    e = y[:, None] - q
    return torch.maximum(taus * e, (taus - 1) * e).mean()


class QuantileNet(nn.Module):
    """the median and positive gaps, so that the quantiles cannot cross"""

    def __init__(self, d, h=48):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d, h), nn.ELU(), nn.Linear(h, h), nn.ELU())
        self.head = nn.Linear(h, 5)

    def forward(self, x):
        o = self.head(self.body(x))
        gap = nn.functional.softplus(o[:, 1:] - 1)
        mid = o[:, :1]
        low = mid - gap[:, :2].flip(1).cumsum(1).flip(1)
        high = mid + gap[:, 2:].cumsum(1)
        return torch.cat([low, mid, high], 1)


net = QuantileNet(X.shape[1])
epochs = 30
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
sched = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
for epoch in range(epochs):
    order = torch.randperm(len(Xt))
    total = 0
    for i in range(0, len(order), 64):
        b = order[i:i + 64]
        loss = pinball(net(Xt[b]), yt[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(b)
    sched.step()
    if epoch % 5 == 0:
        print(f"epoch {epoch}: pinball {total / len(Xt):.4f}")

with torch.no_grad():
    q = net(Xs) * y_std + y_mean
print("coverage per quantile", (ys[:, None] <= q).float().mean(0).numpy().round(3))
print("90%% interval width %.2f" % (q[:, -1] - q[:, 0]).mean().item())
print("test pinball %.4f" % pinball(q, ys).item())
