"""Discrete-time survival (logistic hazard, Gensheimer & Narasimhan 2019) on simulated machine lifetimes with censoring."""
import os

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

N, BINS = 5000, 20
EPOCHS, LR, UNITS = 12, 2e-3, 32

# simulated fleet: load, temperature, age, maintenance, three columns that do not matter
x = rng.normal(size=(N, 7)).astype(np.float32)
risk = 0.8 * x[:, 0] + 0.6 * x[:, 1] * (x[:, 1] > 0) - 0.5 * x[:, 3] + 0.4 * x[:, 0] * x[:, 2]
life = rng.weibull(1.5, N) * 10 * np.exp(-risk / 1.5)
cens = rng.exponential(14, N)
time = np.minimum(life, cens)
event = (life <= cens).astype(np.float32)

n_tr = 3500
cuts = np.quantile(time[:n_tr][event[:n_tr] == 1], np.linspace(0, 1, BINS + 1)[1:-1])
k = np.searchsorted(cuts, time)

X = torch.from_numpy(x)
steps = torch.arange(BINS)
K = torch.from_numpy(k)[:, None]
E = torch.from_numpy(event)[:, None]
alive = (steps[None] < K).float() + (steps[None] == K).float()      # bins at risk
dies = (steps[None] == K).float() * E


def nll(logits, alive, dies):
    ll = nn.functional.binary_cross_entropy_with_logits(logits, dies, reduction="none")
    return (ll * alive).sum(1).mean()


def c_index(score, t, e):
    earlier = (t[:, None] < t[None]) & (e[:, None] == 1)
    hit = (score[:, None] > score[None]) + 0.5 * (score[:, None] == score[None])
    return float(hit[earlier].mean())


model = nn.Sequential(nn.Linear(7, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Dropout(0.1), nn.Linear(UNITS, BINS))
with torch.no_grad():      # start at the plain hazard of each bin
    rate = (dies[:n_tr].sum(0) + 1) / (alive[:n_tr].sum(0) + 2)
    model[-1].weight.mul_(0.1)
    model[-1].bias.copy_(torch.logit(rate))
opt = torch.optim.Adam(model.parameters(), lr=LR, weight_decay=1e-4)

print("start nll", round(nll(model(X[:n_tr]), alive[:n_tr], dies[:n_tr]).item(), 4))
for ep in range(EPOCHS):
    for g in opt.param_groups:
        g["lr"] = LR * (1 - ep / EPOCHS)
    model.train()
    order = torch.randperm(n_tr)
    tot = 0.0
    for idx in order.split(64):
        opt.zero_grad()
        loss = nll(model(X[idx]), alive[idx], dies[idx])
        loss.backward()
        opt.step()
        tot += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        out = model(X[n_tr:])
        print(f"epoch {ep + 1:2d}  nll {tot / n_tr:.4f}  held-out nll {nll(out, alive[n_tr:], dies[n_tr:]):.4f}")

surv = torch.cumprod(1 - torch.sigmoid(out), 1).sum(1).numpy()       # expected number of bins survived
print("concordance of the true risk", round(c_index(risk[n_tr:], time[n_tr:], event[n_tr:]), 4))
print("held-out concordance %.4f" % c_index(-surv, time[n_tr:], event[n_tr:]))
