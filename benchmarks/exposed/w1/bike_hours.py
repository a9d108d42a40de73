"""Hourly bike rentals from calendar and weather; whole days are held out."""
import os, random
import numpy as np, pandas as pd, torch

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class Rentals(torch.nn.Module):
    """embeddings of hour, weekday and month, joined with the weather"""

    def __init__(self, n_weather):
        super().__init__()
        self.hour = torch.nn.Embedding(24, 8)
        self.weekday = torch.nn.Embedding(7, 3)
        self.month = torch.nn.Embedding(12, 4)
        self.l1 = torch.nn.Linear(8 + 3 + 4 + n_weather, 64)
        self.l2 = torch.nn.Linear(64, 64)
        self.out = torch.nn.Linear(64, 1)

    def forward(self, cal, weather):
        z = torch.cat([self.hour(cal[:, 0]), self.weekday(cal[:, 1]), self.month(cal[:, 2]), weather], dim=1)
        z = torch.tanh(self.l1(z))
        z = torch.relu(self.l2(z))
        return self.out(z)


def prepare():
    d = pd.read_csv(f"{os.environ['DATA']}/bikeshare.csv")
    cal = np.stack([d.hr, d.weekday, pd.factorize(d.mnth)[0]], axis=1)
    weather = np.stack([d.temp, d.atemp, d.hum, d.windspeed, d.holiday, d.workingday], axis=1).astype(float)
    weather = np.hstack([weather, pd.get_dummies(d.weathersit).to_numpy(float)])
    days = d.day.unique()
    held_out = d.day.isin(np.random.choice(days, len(days) // 5, replace=False)).to_numpy()
    mu, sd = weather[~held_out].mean(0), weather[~held_out].std(0) + 1e-3
    weather = (weather - mu) / sd
    return (torch.as_tensor(cal), torch.as_tensor(weather).float().clamp(-4, 4),
            torch.as_tensor(np.sqrt(d.bikers.to_numpy())).float(), torch.tensor(held_out))


cal, weather, root, held_out = prepare()
fit = ~held_out
centre, spread = root[fit].mean(), root[fit].std()
y = (root - centre) / spread


def mse(pred, true):
    return torch.mean((pred - true) ** 2)


def bikers(net, rows):
    net.eval()
    with torch.no_grad():
        p = net(cal[rows], weather[rows]).squeeze(1)
    return (p * spread + centre).clamp(min=0) ** 2


net = Rentals(weather.shape[1])
optim = torch.optim.NAdam(net.parameters(), lr=3e-3)
idx = torch.nonzero(fit).squeeze(1)
n_epochs = 20
decay = torch.optim.lr_scheduler.LinearLR(optim, 1.0, 0.03, total_iters=n_epochs)
true = root[held_out] ** 2
for ep in range(n_epochs):
    net.train()
    log = []
    for rows in idx[torch.randperm(len(idx))].split(64):
        optim.zero_grad()
        loss = mse(net(cal[rows], weather[rows]), y[rows])
        loss.backward()
        optim.step()
        log.append(loss.item())
    decay.step()
    pred = bikers(net, held_out)
    r2 = 1 - ((pred - true) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    print(f"{ep:3d}  loss {np.mean(log):.4f}   held-out days: RMSE {((pred - true) ** 2).mean().sqrt():.1f}  R2 {r2:.4f}")
