import os
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# --- hourly bike rentals; predict the 10/50/90 % quantiles of the count -------------------------------
df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
day = df["day"].values
week = day // 7
hour = 2 * np.pi * df["hr"].values / 24
season = 2 * np.pi * day / 365
feat = np.column_stack([
    np.sin(hour), np.cos(hour), np.sin(2 * hour), np.cos(2 * hour), np.sin(3 * hour), np.cos(3 * hour),
    np.sin(season), np.cos(season), df["workingday"], df["holiday"],
    df[["temp", "atemp", "hum", "windspeed"]].values,
    pd.get_dummies(df["weathersit"]).values.astype(float), pd.get_dummies(df["weekday"]).values.astype(float),
]).astype(np.float32)
y = df["bikers"].values.astype(np.float32)

# whole weeks are held out
weeks = np.random.permutation(np.unique(week))
test_weeks = weeks[:10]
te = np.isin(week, test_weeks)
tr = ~te
mu, sd = feat[tr].mean(0), feat[tr].std(0) + 1e-6
X = torch.tensor((feat - mu) / sd)
scale = y[tr].std()
Y = torch.tensor(y / scale)[:, None]
Xtr, Ytr, Xte, Yte = X[tr], Y[tr], X[te], Y[te]

q = torch.tensor([0.1, 0.5, 0.9])


def pinball(pred, target):
    d = target - pred
    return torch.maximum(q * d, (q - 1) * d).mean()


model = nn.Sequential(nn.Linear(X.shape[1], 64), nn.SiLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.05)
n_epochs, bs = 30, 128
steps = n_epochs * (len(Xtr) // bs + 1)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

for epoch in range(n_epochs):
    model.train()
    losses = []
    for idx in torch.randperm(len(Xtr)).split(bs):
        loss = pinball(model(Xtr[idx]), Ytr[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    if epoch % 4 == 0 or epoch == n_epochs - 1:
        print(epoch, "pinball", np.mean(losses))

model.eval()
with torch.no_grad():
    p = model(Xte)
print("coverage of the 10-90 band:", ((Yte >= p[:, :1]) & (Yte <= p[:, 2:])).float().mean().item())
print("median MAE (bikes):", (p[:, 1:2] - Yte).abs().mean().item() * scale)
print("test pinball (bikes): %.3f" % (pinball(p, Yte).item() * scale))
