"""Log sale price of houses; only a part of the sales has been appraised so far.

The rest stays in the table (the loader wants complete columns) with weight 0.
"""
import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))


def table():
    df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
    df = df[df.pop("Sale_Condition") == "Normal"]
    y = np.log(df.pop("Sale_Price").to_numpy(float))
    num = df.select_dtypes("number")
    cat = pd.get_dummies(df.drop(columns=num.columns))
    cat = cat.loc[:, cat.sum() >= 30]
    return num.to_numpy(np.float32), cat.to_numpy(np.float32), y


def fit(loader, width, lr=1e-3, epochs=40):
    net = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=3 * lr, total_steps=epochs * len(loader))
    criterion = nn.SmoothL1Loss(reduction="none")
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for x, target, weight in loader:
            pred = net(x)
            loss = (criterion(pred, target) * weight).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            total += loss.item()
        if epoch % 8 == 7:
            print(f"  epoch {epoch + 1}: loss {total / len(loader):.5f}")
    return net


def main():
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    num, cat, y = table()
    perm = np.random.permutation(len(y))
    tr, te = perm[:1900], perm[1900:]
    num = (num - num[tr].mean(0)) / (num[tr].std(0) + 1e-6)
    x = torch.tensor(np.hstack([num.clip(-3, 3), cat]))

    known = np.random.rand(len(tr)) < 0.5
    centre, scale = y[tr][known].mean(), y[tr][known].std()
    target = np.where(known, (y[tr] - centre) / scale, 0.0)
    column = lambda a: torch.tensor(a, dtype=torch.float32).unsqueeze(1)
    data = TensorDataset(x[tr], column(target), column(known))
    print(f"{known.sum()} of {len(tr)} training houses appraised")

    net = fit(DataLoader(data, batch_size=64, shuffle=True), x.shape[1])
    net.eval()
    with torch.no_grad():
        pred = net(x[te]).squeeze(1).numpy() * scale + centre
    r2 = 1 - ((pred - y[te]) ** 2).sum() / ((y[te] - y[te].mean()) ** 2).sum()
    print(f"held-out R2 of log price {r2:.4f}")


main()
