"""Breast cancer (Wisconsin): pick width and dropout on validation rows, then one look at the test rows."""
import itertools
import os
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_breast_cancer(return_X_y=True)
X_dev, X_te, y_dev, y_te = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
X_tr, X_va, y_tr, y_va = train_test_split(X_dev, y_dev, test_size=0.25, stratify=y_dev, random_state=SEED)


def t(a):
    return torch.as_tensor(a, dtype=torch.float32)


def train_model(X, y, width, drop, epochs=60, lr=1e-3):
    net = nn.Sequential(nn.Linear(X.shape[1], width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, 1))
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.05)
    bce = nn.BCEWithLogitsLoss()
    X, y = t(X), t(y)
    for epoch in range(epochs):
        net.train()
        for idx in torch.randperm(len(X)).split(32):
            opt.zero_grad()
            loss = bce(net(X[idx]).squeeze(1), y[idx])
            loss.backward()
            opt.step()
    return net


def evaluate(net, X, y):
    net.eval()
    with torch.no_grad():
        z = net(t(X)).squeeze(1)
    nll = nn.functional.binary_cross_entropy_with_logits(z, t(y)).item()
    acc = ((z > 0).numpy() == y).mean()
    return nll, acc, roc_auc_score(y, z.numpy())


sc = StandardScaler().fit(X_tr)
results = {}
for width, drop in itertools.product([8, 32, 64], [0.0, 0.3]):
    net = train_model(sc.transform(X_tr), y_tr, width, drop)
    nll, acc, auc = evaluate(net, sc.transform(X_va), y_va)
    results[width, drop] = nll
    print(f"width {width:3d} dropout {drop:.1f}: val nll {nll:.4f} acc {acc:.3f} auc {auc:.4f}")

best = min(results, key=results.get)
print("chosen:", best)
sc = StandardScaler().fit(X_dev)
final = train_model(sc.transform(X_dev), y_dev, *best)
nll, acc, auc = evaluate(final, sc.transform(X_te), y_te)
print(f"test accuracy {acc:.4f}, auc {auc:.4f}")
print(f"test nll {nll:.4f}")
