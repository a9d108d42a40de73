"""Tagging short documents with several topics at once (bag of words -> tags)."""
import os
import random

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N_TAGS = 8
counts, tags = make_multilabel_classification(
    n_samples=6000, n_features=120, n_classes=N_TAGS, n_labels=3, length=80,
    allow_unlabeled=False, random_state=SEED)
freq = np.log1p(counts)
X_tr, X_te, y_tr, y_te = train_test_split(freq, tags, test_size=0.25, random_state=SEED)
mean, std = X_tr.mean(0), X_tr.std(0) + 1e-6
X_tr = torch.tensor((X_tr - mean) / std, dtype=torch.float32)
X_te = torch.tensor((X_te - mean) / std, dtype=torch.float32)
y_tr = torch.tensor(y_tr, dtype=torch.float32)
print("documents:", len(X_tr), "tags per document:", y_tr.sum(1).mean().item())

model = nn.Sequential(
    nn.Linear(120, 128),
    nn.ReLU(),
    nn.Dropout(0.1),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Dropout(0.1),
    nn.Linear(64, N_TAGS),
    nn.Softmax(dim=1),
)
loss_fn = nn.BCELoss()
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)

for epoch in range(30):
    model.train()
    perm = torch.randperm(len(X_tr))
    total = 0.0
    for i in range(0, len(perm), 64):
        idx = perm[i:i + 64]
        opt.zero_grad()
        loss = loss_fn(model(X_tr[idx]), y_tr[idx])
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    if epoch % 5 == 4:
        print("epoch", epoch + 1, "loss %.4f" % (total / len(X_tr)))

model.eval()
with torch.no_grad():
    preds = (model(X_te) >= 0.5).int().numpy()
print("micro F1: %.4f" % f1_score(y_te, preds, average="micro"))
print("macro F1: %.4f" % f1_score(y_te, preds, average="macro"))
