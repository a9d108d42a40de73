"""Credit scoring, wide & deep: a linear part on one-hot columns plus a small network on the numbers."""
import copy
import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
y = (df.pop("Status") == "bad").to_numpy(np.float32)
cat_cols = ["Home", "Marital", "Records", "Job"]
wide = pd.get_dummies(df[cat_cols].astype(object).fillna("unknown"), dtype=np.float32).to_numpy()
deep = df.drop(columns=cat_cols).astype(float)
deep["no_income"] = deep["Income"].isna().astype(float)
for c in ["Income", "Assets", "Debt", "Amount", "Price", "Expenses"]:
    deep[c] = np.log1p(deep[c])
deep["share"] = deep["Amount"] - deep["Price"]

idx = np.arange(len(y))
rest, test = train_test_split(idx, test_size=0.25, stratify=y, random_state=SEED)
train, valid = train_test_split(rest, test_size=0.2, stratify=y[rest], random_state=SEED)
deep = deep.fillna(deep.iloc[train].median())
deep = ((deep - deep.iloc[train].mean()) / deep.iloc[train].std()).clip(-4, 4).to_numpy(np.float32)
W, D, Y = torch.tensor(wide), torch.tensor(deep), torch.tensor(y)


class WideAndDeep(nn.Module):
    def __init__(self, n_wide, n_deep):
        super().__init__()
        self.linear = nn.Linear(n_wide, 1)
        self.mlp = nn.Sequential(nn.Linear(n_wide + n_deep, 32), nn.ReLU(), nn.Dropout(0.3),
                                 nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, w, d):
        return (self.linear(w) + self.mlp(torch.cat([w, d], 1))).squeeze(1)


model = WideAndDeep(W.shape[1], D.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
criterion = nn.BCEWithLogitsLoss()


def scores(rows):
    model.eval()
    with torch.no_grad():
        z = model(W[rows], D[rows])
        return criterion(z, Y[rows]).item(), roc_auc_score(y[rows], z.numpy())


best, best_state, patience = np.inf, None, 0
for epoch in range(60):
    model.train()
    for b in torch.tensor(train)[torch.randperm(len(train))].split(64):
        loss = criterion(model(W[b], D[b]), Y[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    val_loss, val_auc = scores(valid)
    print(f"epoch {epoch:2d}  val loss {val_loss:.4f}  val auc {val_auc:.4f}")
    if val_loss < best:
        best, best_state, patience = val_loss, copy.deepcopy(model.state_dict()), 0
    else:
        patience += 1
        if patience == 12:
            break

model.load_state_dict(best_state)
loss, auc = scores(test)
print(f"test log loss {loss:.4f} (prior only {-(y.mean() * np.log(y.mean()) + (1 - y.mean()) * np.log(1 - y.mean())):.4f})")
print(f"test auc {auc:.4f}")
