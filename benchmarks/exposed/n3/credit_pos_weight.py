"""Default prediction on the credit table: one bad customer in about 3.5, weighted BCE, early stopping on validation AUC."""
import copy, os
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score, recall_score, precision_score
from sklearn.model_selection import train_test_split
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
y = (df.pop("Status") == "bad").values.astype(np.float32)
cat = ["Home", "Marital", "Records", "Job"]
num = [c for c in df.columns if c not in cat]
missing = df[["Income", "Assets", "Debt"]].isna().astype(float)
onehot = pd.get_dummies(df[cat].fillna("na").astype(str)).astype(float)
numeric = df[num].copy()
numeric["ratio"] = numeric["Amount"] / numeric["Price"]
numeric["instalment"] = numeric["Amount"] / numeric["Time"]
for c in ["Income", "Assets", "Debt", "Amount", "Price", "instalment"]:
    numeric[c] = np.log1p(numeric[c])

rest, test = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=SEED)
train, valid = train_test_split(rest, test_size=0.2, stratify=y[rest], random_state=SEED)
numeric = numeric.fillna(numeric.iloc[train].median())
numeric = (numeric - numeric.iloc[train].mean()) / numeric.iloc[train].std()
X = torch.tensor(np.hstack([numeric.values, missing.values, onehot.values]), dtype=torch.float32)
Y = torch.tensor(y)

pos_weight = torch.tensor((1 - y[train]).sum() / y[train].sum())
loss_fn = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
net = nn.Sequential(nn.Linear(X.shape[1], 32), nn.ReLU(), nn.Dropout(0.4), nn.Linear(32, 1))
opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)


def auc(rows):
    net.eval()
    with torch.no_grad():
        return roc_auc_score(y[rows], net(X[rows]).squeeze(1).numpy())


best, wait, keep = 0.0, 0, None
train_t = torch.as_tensor(train)
for epoch in range(100):
    net.train()
    total = 0.0
    for b in train_t[torch.randperm(len(train_t))].split(128):
        loss = loss_fn(net(X[b]).squeeze(1), Y[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(b)
    v = auc(valid)
    if v > best:
        best, wait, keep = v, 0, copy.deepcopy(net.state_dict())
    else:
        wait += 1
    if epoch % 5 == 0:
        print(f"epoch {epoch:3d}  weighted bce {total / len(train):.4f}  val auc {v:.4f}")
    if wait >= 12:
        break

net.load_state_dict(keep)
net.eval()
with torch.no_grad():
    flag = (net(X[test]).squeeze(1) > 0).numpy()
print(f"stopped after {epoch + 1}; recall {recall_score(y[test], flag):.3f} precision {precision_score(y[test], flag):.3f}")
print(f"test AUC {auc(test):.4f}")
