"""Hourly bike rentals: a Poisson regression network (log link)."""
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
num = df[["temp", "atemp", "hum", "windspeed", "workingday", "holiday"]].astype(float)
cat = pd.get_dummies(df[["hr", "weekday", "mnth", "weathersit"]].astype(str), dtype=float)
y = df["bikers"].to_numpy(np.float32)
perm = np.random.permutation(len(df))
tr, va, te = perm[:6000], perm[6000:7200], perm[7200:]
mu, sd = num.iloc[tr].mean(), num.iloc[tr].std()
X = np.concatenate([((num - mu) / sd).to_numpy(), cat.to_numpy()], 1).astype(np.float32)
X, y = torch.from_numpy(X), torch.from_numpy(y)


class LogRate(nn.Module):
    def __init__(self, d, start):
        super().__init__()
        self.a = nn.Linear(d, 96)
        self.b = nn.Linear(96, 48)
        self.c = nn.Linear(48, 1)
        nn.init.zeros_(self.c.weight)
        nn.init.constant_(self.c.bias, start)      # begin at the mean rate

    def forward(self, x):
        x = F.silu(self.a(x))
        x = F.silu(self.b(x))
        return self.c(x).squeeze(1)


net = LogRate(X.shape[1], float(torch.log(y[tr].mean())))
EPOCHS = 40
opt = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
nll = nn.PoissonNLLLoss(log_input=True)


def deviance(idx):
    with torch.no_grad():
        lam = net(X[idx]).exp()
        t = y[idx]
        return (2 * (torch.xlogy(t, t / lam) - (t - lam))).mean().item()


best, keep = 1e9, None
for epoch in range(EPOCHS):
    order = np.random.permutation(tr)
    total = 0.0
    for i in range(0, len(order), 64):
        j = order[i:i + 64]
        opt.zero_grad()
        loss = nll(net(X[j]), y[j])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 20.0)
        opt.step()
        total += loss.item() * len(j)
    sched.step()
    d = deviance(va)
    if d < best:
        best, keep = d, {k: v.clone() for k, v in net.state_dict().items()}
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2d}  nll {total / len(tr):9.2f}  val deviance {d:.3f}")
net.load_state_dict(keep)
print("mean rate deviance:", round((2 * (torch.xlogy(y[te], y[te] / y[tr].mean()) - (y[te] - y[tr].mean()))).mean().item(), 2))
print("test deviance: %.4f" % deviance(te))
