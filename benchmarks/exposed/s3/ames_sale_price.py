import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def get_data(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
    y = np.log10(df.pop("Sale_Price").astype(float)).to_numpy(np.float32)
    numeric = df.select_dtypes("number").columns
    for c in ["Lot_Area", "Gr_Liv_Area", "First_Flr_SF"]:
        df[c] = np.log(df[c])
    tr, te, ytr, yte = train_test_split(df, y, test_size=0.25, random_state=seed)
    ct = make_column_transformer(
        (StandardScaler(), numeric),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=10, sparse_output=False),
         [c for c in df.columns if c not in numeric]),
    )
    Xtr = np.clip(ct.fit_transform(tr), -4, 4).astype(np.float32)
    Xte = np.clip(ct.transform(te), -4, 4).astype(np.float32)
    mu, sd = ytr.mean(), ytr.std()
    return [torch.from_numpy(a) for a in (Xtr, (ytr - mu) / sd, Xte, (yte - mu) / sd)]


class WideDeep(nn.Module):
    """straight line plus a correction"""

    def __init__(self, d, k=48, p=0.2):
        super().__init__()
        self.wide = nn.Linear(d, 1)
        self.deep = nn.Sequential(nn.Linear(d, k), nn.SiLU(), nn.Dropout(p), nn.Linear(k, k), nn.SiLU(), nn.Linear(k, 1))

    def forward(self, x):
        return (self.wide(x) + self.deep(x)).squeeze(-1)


def r2(model, X, y):
    model.eval()
    with torch.no_grad():
        res = y - model(X)
    model.train()
    return 1 - (res.pow(2).sum() / (y - y.mean()).pow(2).sum()).item()


seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
Xtr, ytr, Xte, yte = get_data(seed)
print("features:", Xtr.shape[1], "rows:", len(Xtr), "+", len(Xte))

epochs = 40
lr = 1e-3
model = WideDeep(Xtr.shape[1])
decay = [p for p in model.parameters() if p.dim() > 1]
rest = [p for p in model.parameters() if p.dim() == 1]
opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.3}, {"params": rest, "weight_decay": 0.0}], lr=lr)
huber = nn.SmoothL1Loss(beta=0.5)      # a few sales are not real sales
average = AveragedModel(model)

for epoch in range(epochs):
    for i in torch.randperm(len(Xtr)).split(64):
        loss = huber(model(Xtr[i]), ytr[i])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
    if epoch >= epochs // 2:
        average.update_parameters(model)
    if epoch % 8 == 7:
        print(f"epoch {epoch + 1}  last batch {loss.item():.4f}  train R2 {r2(model, Xtr, ytr):.4f}  test R2 {r2(model, Xte, yte):.4f}")
print("averaged weights, test R2 on log price: %.4f" % r2(average, Xte, yte))
