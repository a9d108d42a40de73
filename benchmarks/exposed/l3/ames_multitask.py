import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
y_price = np.log(df["price"].to_numpy())
y_kitchen = df["Kitchen.Qual"].map({"Po": 0, "Fa": 0, "TA": 1, "Gd": 2, "Ex": 3}).to_numpy()
df = df.drop(columns=["Order", "PID", "price", "Kitchen.Qual"])
df["MS.SubClass"] = df["MS.SubClass"].astype(str)
num = df.select_dtypes("number")
skewed = num.columns[num.skew() > 1]
num = num.copy()
num[skewed] = np.log1p(num[skewed])
cat = pd.get_dummies(df.drop(columns=num.columns), dummy_na=True)
cat = cat.loc[:, cat.mean() > 0.01]

perm = np.random.permutation(len(df))
a, b = perm[:2300], perm[2300:]
num = num.fillna(num.iloc[a].median())
num = ((num - num.iloc[a].mean()) / num.iloc[a].std()).clip(-4, 4)
X = torch.tensor(np.hstack([num.to_numpy("float32"), cat.to_numpy("float32")]))
pm, ps = y_price[a].mean(), y_price[a].std()
P = torch.tensor((y_price - pm) / ps, dtype=torch.float32)
Q = torch.tensor(y_kitchen)


class TwoHeads(nn.Module):
    """shared trunk, learned task weights (Kendall et al. 2018)"""

    def __init__(self, d, h=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Dropout(0.3))
        self.price, self.kitchen = nn.Linear(h, 1), nn.Linear(h, 4)
        self.log_var = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        h = self.trunk(x)
        return self.price(h).squeeze(1), self.kitchen(h)

    def loss(self, x, p, q):
        fp, fq = self(x)
        lp, lq = F.mse_loss(fp, p), F.cross_entropy(fq, q)
        s = self.log_var
        return 0.5 * torch.exp(-s[0]) * lp + torch.exp(-s[1]) * lq + 0.5 * s.sum(), lp, lq


net = TwoHeads(X.shape[1])
EPOCHS = 60
opt = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.05)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
print(X.shape[1], "features,", len(a), "training houses")
for epoch in range(EPOCHS):
    net.train()
    logs = []
    for idx in torch.tensor(np.random.permutation(a)).split(64):
        loss, lp, lq = net.loss(X[idx], P[idx], Q[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        logs.append((lp.item(), lq.item()))
    sched.step()
    if epoch % 10 == 9:
        print("epoch %d  price mse %.4f  kitchen ce %.4f" % (epoch + 1, *np.mean(logs, axis=0)))

net.eval()
with torch.no_grad():
    fp, fq = net(X[b])
rmse = ((fp * ps - P[b] * ps) ** 2).mean().sqrt().item()
print("test kitchen accuracy %.4f" % (fq.argmax(1) == Q[b]).float().mean().item())
print("test rmse of log price %.4f" % rmse)
