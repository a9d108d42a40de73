# Compressive strength of concrete, 5-fold CV where all ages of one mix stay in one fold.
import os
import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.model_selection import GroupKFold

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

data = pd.read_csv(os.environ["DATA"] + "/concrete.csv")
mix = data.drop(columns=["age", "compressive_strength"])
groups = mix.groupby(list(mix.columns), sort=False).ngroup().to_numpy()
X = mix.copy()
X["log_age"] = np.log(data["age"])
X["w_c"] = X["water"] / X["cement"]
X = X.to_numpy(np.float32)
y = data["compressive_strength"].to_numpy(np.float32)
print(f"{len(y)} samples, {groups.max() + 1} mixes")


def make_net(d):
    return nn.Sequential(nn.Linear(d, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))


def fit(Xtr, ytr, epochs=120, lr=4e-3, bs=64):
    net = make_net(Xtr.shape[1])
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.1)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=epochs)
    n = len(Xtr)
    for _ in range(epochs):
        perm = torch.randperm(n)
        for i in range(0, n, bs):
            j = perm[i:i + bs]
            loss = nn.functional.mse_loss(net(Xtr[j]).squeeze(-1), ytr[j])
            opt.zero_grad(); loss.backward(); opt.step()
        sched.step()
    return net, loss.item()


scores = []
for fold, (tr, te) in enumerate(GroupKFold(n_splits=5, shuffle=True, random_state=SEED).split(X, y, groups)):
    m, s = X[tr].mean(0), X[tr].std(0)
    ym, ys = y[tr].mean(), y[tr].std()
    net, last = fit(torch.tensor((X[tr] - m) / s), torch.tensor((y[tr] - ym) / ys))
    with torch.no_grad():
        p = net(torch.tensor((X[te] - m) / s)).squeeze(-1).numpy() * ys + ym
    rmse = float(np.sqrt(((p - y[te]) ** 2).mean()))
    scores.append(rmse)
    print(f"fold {fold}: last batch loss {last:.4f}, held-out RMSE {rmse:.2f} MPa")

print(f"mean RMSE {np.mean(scores):.3f} MPa (sd {np.std(scores):.2f})")
