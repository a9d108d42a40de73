import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

raw = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
print(raw.shape, raw["Status"].value_counts().to_dict())

# features
X = raw.drop(columns="Status").dropna().reset_index(drop=True)
X = pd.get_dummies(X, columns=["Home", "Marital", "Records", "Job"], dtype=float)
for col in ["Assets", "Debt"]:
    X[col] = np.log1p(X[col])

# label: 1 = did not pay back
y = (raw["Status"] == "bad").astype(float)
y = y[:len(X)]

X_train, X_test, y_train, y_test = train_test_split(X.values, y.values, test_size=0.25, random_state=SEED)
mean, std = X_train.mean(0), X_train.std(0) + 1e-8
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
ds = TensorDataset(torch.tensor(X_train, dtype=torch.float32), torch.tensor(y_train, dtype=torch.float32))
dl = DataLoader(ds, batch_size=64, shuffle=True)
X_test = torch.tensor(X_test, dtype=torch.float32)

net = nn.Sequential(nn.Linear(X_train.shape[1], 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 1))
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)


def evaluate():
    net.eval()
    with torch.no_grad():
        score = torch.sigmoid(net(X_test)).squeeze(1).numpy()
    return roc_auc_score(y_test, score), ((score > 0.5) == y_test).mean()


for epoch in range(25):
    net.train()
    total = 0.0
    for xb, yb in dl:
        optimizer.zero_grad()
        loss = criterion(net(xb).squeeze(1), yb)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    if (epoch + 1) % 5 == 0:
        auc, acc = evaluate()
        print("epoch %2d  loss %.4f  val auc %.4f  val acc %.4f" % (epoch + 1, total / len(ds), auc, acc))

print("test AUC: %.4f" % evaluate()[0])
