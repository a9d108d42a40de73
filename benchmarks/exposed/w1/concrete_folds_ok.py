# Cross-validated MLP for concrete strength. Batches of the same mix stay in one fold.
import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold

s = int(os.getenv("SEED", 0))
random.seed(s); np.random.seed(s); torch.manual_seed(s)

df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
y = df.pop("compressive_strength").to_numpy("float32")
mix = df.drop(columns="age").astype(str).agg("|".join, axis=1)
groups = pd.factorize(mix)[0]
df["age"] = np.log1p(df["age"])
X = df.to_numpy("float32")

K, EPOCHS, BATCH = 5, 80, 32


class StrengthNet(nn.Module):
    def __init__(self, d, h=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU())
        self.head = nn.Linear(h, 1)

    def forward(self, x):
        return self.head(self.body(x)).squeeze(1)


def run_fold(model, optimizer, scheduler, tr, te):
    mu, sd = X[tr].mean(0), X[tr].std(0)
    ym, ys = y[tr].mean(), y[tr].std()
    xt = torch.from_numpy((X[tr] - mu) / sd)
    yt = torch.from_numpy((y[tr] - ym) / ys)
    xv = torch.from_numpy((X[te] - mu) / sd)
    criterion = nn.MSELoss()
    for epoch in range(EPOCHS):
        model.train()
        perm = torch.randperm(len(xt))
        losses = []
        for i in range(0, len(perm), BATCH):
            b = perm[i:i + BATCH]
            optimizer.zero_grad()
            loss = criterion(model(xt[b]), yt[b])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        if (epoch + 1) % 40 == 0:
            print(f"   epoch {epoch + 1:3d}  train mse {np.mean(losses):.4f}")
    model.eval()
    with torch.no_grad():
        pred = model(xv).numpy() * ys + ym
    return r2_score(y[te], pred)


def make_optimizer(model):
    opt = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    return opt, torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, EPOCHS)


scores = []
shuffle = np.random.permutation(groups.max() + 1)
for fold, (tr, te) in enumerate(GroupKFold(K).split(X, y, shuffle[groups])):
    model = StrengthNet(X.shape[1])          # fresh weights for every fold
    optimizer, scheduler = make_optimizer(model)
    r2 = run_fold(model, optimizer, scheduler, tr, te)
    scores.append(r2)
    print(f"fold {fold + 1}: R2 = {r2:.4f}")
print(f"mean R2 over {K} folds: {np.mean(scores):.4f}")
