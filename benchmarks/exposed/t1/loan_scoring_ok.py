# Credit scoring: who will not pay back?  Tabular data, two hidden layers.
import argparse
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import balanced_accuracy_score, confusion_matrix
from sklearn.model_selection import train_test_split

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=15)
ap.add_argument("--lr", type=float, default=1e-3)
ap.add_argument("--batch", type=int, default=64)
ap.add_argument("--wd", type=float, default=0.05)
args = ap.parse_args()

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
target = (df.pop("Status") == "bad").astype(int).to_numpy()
cats = ["Home", "Marital", "Records", "Job"]
nums = [c for c in df.columns if c not in cats]
onehot = pd.get_dummies(df[cats].fillna("missing"), dtype=float)

i_train, i_test = train_test_split(np.arange(len(df)), test_size=0.3, stratify=target, random_state=seed)
num = df[nums].copy()
num = num.fillna(num.iloc[i_train].median())
for c in ["Income", "Assets", "Debt", "Amount", "Price"]:
    num[c] = np.log1p(num[c])
num = (num - num.iloc[i_train].mean()) / num.iloc[i_train].std()

X = torch.tensor(np.hstack([num.to_numpy(), onehot.to_numpy()]), dtype=torch.float32)
y = torch.tensor(target)
Xtr, ytr, Xte, yte = X[i_train], y[i_train], X[i_test], y[i_test]

# the two classes are far from equal in size, so weight the loss
counts = torch.bincount(ytr, minlength=2).float()
weights = counts.sum() / (2 * counts)
print("class counts", counts.tolist(), "weights", [round(w, 3) for w in weights.tolist()])

model = torch.nn.Sequential(
    torch.nn.Linear(X.shape[1], 32), torch.nn.ReLU(), torch.nn.Dropout(0.3),
    torch.nn.Linear(32, 16), torch.nn.ReLU(),
    torch.nn.Linear(16, 2),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.wd)

for epoch in range(args.epochs):
    model.train()
    losses = []
    for idx in torch.randperm(len(Xtr)).split(args.batch):
        loss = F.cross_entropy(model(Xtr[idx]), ytr[idx], weight=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        pred = model(Xte).argmax(1)
    ba = balanced_accuracy_score(yte.numpy(), pred.numpy())
    print(f"epoch {epoch:2d} loss {np.mean(losses):.4f}  test balanced acc {ba:.4f}")

print(confusion_matrix(yte.numpy(), pred.numpy()))
print(f"final balanced accuracy {ba:.4f}")
