# %% Hourly bike rentals as negative binomial counts
import os
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# %% data
df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
week = df["day"] // 7
te_mask = week.isin(np.random.permutation(week.unique())[:10]).to_numpy()      # whole weeks are held out
hour = df["hr"].to_numpy() * 2 * np.pi / 24
doy = df["day"].to_numpy() * 2 * np.pi / 365
waves = [f(k * hour) for k in (1, 2, 3, 4) for f in (np.sin, np.cos)] + [f(k * doy) for k in (1, 2) for f in (np.sin, np.cos)]
trend = df["day"].to_numpy() / 365 - 0.5
wd = pd.get_dummies(df["weekday"]).to_numpy()
weather = np.stack([df[c] for c in ("temp", "atemp", "hum", "windspeed", "holiday", "workingday")], 1)
sky = pd.get_dummies(df["weathersit"]).to_numpy()
X = np.concatenate([np.stack(waves, 1), trend[:, None], wd, weather, sky], 1).astype(np.float32)
X = (X - X[~te_mask].mean(0)) / (X[~te_mask].std(0) + 1e-6)
X = torch.tensor(X.clip(-4, 4))
y = torch.tensor(df["bikers"].to_numpy(np.float32))
tr, te = torch.tensor(np.where(~te_mask)[0]), torch.tensor(np.where(te_mask)[0])

# %% model
EPOCHS, LR, H = 20, 3e-3, 64
net = nn.Sequential(nn.Linear(X.shape[1], H), nn.ELU(), nn.Dropout(0.05), nn.Linear(H, H), nn.ELU(), nn.Linear(H, 2))
with torch.no_grad():
    net[-1].bias.copy_(torch.tensor([y[tr].mean().log(), 1.0]))


def negbin(out, y):
    """minus log likelihood with mean mu and size r (variance mu + mu^2 / r)"""
    mu, r = out[:, 0].clamp(-5, 8).exp(), nn.functional.softplus(out[:, 1]) + 0.05
    ll = torch.lgamma(y + r) - torch.lgamma(r) - torch.lgamma(y + 1) + r * torch.log(r / (r + mu)) + y * torch.log(mu / (r + mu))
    return -ll.mean()


# %% training
opt = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=1e-3)
sched = torch.optim.lr_scheduler.PolynomialLR(opt, EPOCHS, power=1.0)
history = []
for ep in range(EPOCHS):
    net.train()
    losses = []
    for i in tr[torch.randperm(len(tr))].split(128):
        loss = negbin(net(X[i]), y[i])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        opt.step()
        losses.append(loss.item())
    sched.step()
    history.append(np.mean(losses))
    if ep % 4 == 3:
        print(f"epoch {ep + 1} nll {history[-1]:.4f}")

# %% held-out weeks
net.eval()
with torch.no_grad():
    out = net(X[te])
    mu = out[:, 0].exp()
print(f"held-out: mean abs error {(mu - y[te]).abs().mean():.2f} of {y[te].mean():.0f} bikes, nll {negbin(out, y[te]):.4f}")
