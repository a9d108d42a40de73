# Concrete strength with Monte-Carlo dropout (Gal & Ghahramani): 60 stochastic passes give mean and spread.
import os
import numpy as np, pandas as pd
import torch, torch.nn as nn
from sklearn.model_selection import GroupShuffleSplit

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.environ["DATA"] + "/concrete.csv")
mix = df.groupby(list(df.columns[:7]), sort=False).ngroup().values      # one recipe is tested at several ages
tr, te = next(GroupShuffleSplit(1, test_size=0.25, random_state=SEED).split(df, groups=mix))
X = df.drop(columns="compressive_strength").copy()
X["age"] = np.log(X["age"])
X["w_c"] = df["water"] / df["cement"]
X = ((X - X.iloc[tr].mean()) / X.iloc[tr].std()).values.astype("float32")
y = df["compressive_strength"].values.astype("float32")
ym, ys = y[tr].mean(), y[tr].std()
X, t = torch.from_numpy(X), torch.from_numpy((y - ym) / ys)


class BayesNet(nn.Module):
    def __init__(self, d, h=128, p=0.1):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Dropout(p), nn.Linear(h, h), nn.ReLU(), nn.Dropout(p), nn.Linear(h, 1))

    def forward(self, x):
        return self.f(x).squeeze(-1)

    @torch.no_grad()
    def sample(self, x, n=60):
        self.train()                    # masks stay random on purpose
        return torch.stack([self(x) for _ in range(n)])


net = BayesNet(X.shape[1])
opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
EPOCHS = 80
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=6e-3, total_steps=EPOCHS * (len(tr) // 32 + 1))
tr = torch.as_tensor(tr)
for epoch in range(EPOCHS):
    run = 0.0
    for b in tr[torch.randperm(len(tr))].split(32):
        loss = ((net(X[b]) - t[b]) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        run += loss.item() * len(b)
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1} mse {run / len(tr):.4f}")

draws = net.sample(X[te]) * ys + ym
mean, spread = draws.mean(0), draws.std(0)
err = mean - torch.from_numpy(y[te])
print("mean predictive spread %.2f MPa, correlation with |error| %.2f" % (spread.mean(), np.corrcoef(spread, err.abs())[0, 1]))
print("test rmse %.3f" % err.pow(2).mean().sqrt().item())
