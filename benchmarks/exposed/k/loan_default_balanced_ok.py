import copy
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def load_frame():
    df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
    y = (df.pop("Status") == "bad").astype(int).values
    num = df.select_dtypes("number")
    num = num.fillna(num.median())
    cat = pd.get_dummies(df.drop(columns=num.columns).fillna("unknown"), dtype=float)
    return pd.concat([num, cat], axis=1).values, y


def balance(X, y, rng):
    """Repeat rows of the smaller class until both have the same count."""
    pos, neg = np.where(y == 1)[0], np.where(y == 0)[0]
    extra = rng.choice(pos, len(neg) - len(pos), replace=True)
    idx = rng.permutation(np.concatenate([pos, neg, extra]))
    return X[idx], y[idx]


rng = np.random.default_rng(SEED)
X, y = load_frame()
# the last quarter stays untouched until the very end
X_dev, X_test, y_dev, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=SEED)
X_train, X_val, y_train, y_val = train_test_split(X_dev, y_dev, test_size=0.2, stratify=y_dev, random_state=SEED)
X_train, y_train = balance(X_train, y_train, rng)
sc = StandardScaler().fit(X_train)
T = lambda a: torch.tensor(sc.transform(a), dtype=torch.float32)
X_train, X_val, X_test = T(X_train), T(X_val), T(X_test)
y_train = torch.tensor(y_train, dtype=torch.float32)

model = nn.Sequential(nn.Linear(X_train.shape[1], 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
bce = nn.BCEWithLogitsLoss()


def auc(x, t):
    model.eval()
    with torch.no_grad():
        return roc_auc_score(t, model(x).squeeze(1).numpy())


best_auc, best_state, bad = 0.0, None, 0
for epoch in range(60):
    model.train()
    total = 0.0
    for idx in torch.randperm(len(X_train)).split(64):
        optimizer.zero_grad()
        loss = bce(model(X_train[idx]).squeeze(1), y_train[idx])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    val_auc = auc(X_val, y_val)
    if epoch % 5 == 0:
        print(f"epoch {epoch}: train loss {total / len(X_train):.4f} val auc {val_auc:.4f}")
    if val_auc > best_auc:
        best_auc, best_state, bad = val_auc, copy.deepcopy(model.state_dict()), 0
    else:
        bad += 1
        if bad >= 20:
            print("early stop at", epoch)
            break

model.load_state_dict(best_state)
print(f"best val auc {best_auc:.4f}")
print(f"test auc {auc(X_test, y_test):.4f}")
