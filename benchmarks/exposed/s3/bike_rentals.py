# Hourly bike rentals as counts: log-rate network, Poisson likelihood.
# Whole days are held out, so the test hours are not neighbours of training hours.
import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader


class RateNet(nn.Module):
    def __init__(self, d, width, log_mean):
        super().__init__()
        self.l1 = nn.Linear(d, width)
        self.l2 = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, log_mean)   # begin at the mean rate

    def forward(self, x):
        h = torch.relu(self.l1(x))
        h = torch.relu(self.l2(h))
        return self.out(h).squeeze(1)


def load(seed):
    df = pd.read_csv(os.environ["DATA"] + "/bikeshare.csv")
    y = df.bikers.values.astype(np.float32)
    cats = pd.get_dummies(df[["hr", "weekday", "mnth", "weathersit"]].astype(str), dtype=np.float32)
    # working-day hours and free-day hours are two different worlds
    wh = pd.get_dummies(df.hr.astype(str) + "_" + df.workingday.astype(str), dtype=np.float32)
    num = df[["temp", "atemp", "hum", "windspeed", "holiday", "workingday"]].astype(np.float32)
    days = df.day.unique()
    test_days = np.random.RandomState(seed).choice(days, size=len(days) // 5, replace=False)
    te = df.day.isin(test_days).values
    mu, sd = num[~te].mean(), num[~te].std()
    X = np.hstack([((num - mu) / sd).values, cats.values, wh.values]).astype(np.float32)
    return map(torch.from_numpy, (X[~te], y[~te], X[te], y[te]))


def main():
    seed = int(os.environ.get("SEED", "0"))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    EPOCHS, LR, WIDTH = 15, 1.5e-3, 64
    Xtr, ytr, Xte, yte = load(seed)
    loader = DataLoader(TensorDataset(Xtr, ytr), batch_size=128, shuffle=True)
    model = RateNet(Xtr.shape[1], WIDTH, float(ytr.mean().log()))
    crit = nn.PoissonNLLLoss(log_input=True)     # leaves out log(y!), so it is far below zero
    opt = torch.optim.Adam(model.parameters(), lr=LR)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS * len(loader))
    for epoch in range(EPOCHS):
        tot = 0.0
        for xb, yb in loader:
            opt.zero_grad(set_to_none=True)
            loss = crit(model(xb), yb)
            loss.backward()
            opt.step()
            sched.step()
            tot += loss.item() * len(xb)
        if (epoch + 1) % 5 == 0:
            with torch.no_grad():
                rate = model(Xte).exp()
            r2 = 1 - ((yte - rate) ** 2).sum() / ((yte - yte.mean()) ** 2).sum()
            print(f"{epoch + 1:02d} poisson nll {tot / len(Xtr):9.2f}   test R2 {r2.item():.4f}")


if __name__ == "__main__":
    main()
