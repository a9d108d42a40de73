"""Tagging songs with several moods at once from 30 audio descriptors."""
import os
import random

import numpy as np
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

TAGS = ["calm", "happy", "sad", "angry", "dance", "live"]

X, Y = make_multilabel_classification(
    n_samples=4000, n_features=30, n_classes=len(TAGS), n_labels=2, length=60, random_state=7
)
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.25, random_state=seed)
sc = StandardScaler().fit(X_train)
X_train = torch.tensor(sc.transform(X_train), dtype=torch.float32)
X_test = torch.tensor(sc.transform(X_test), dtype=torch.float32)
Y_train = torch.tensor(Y_train, dtype=torch.float32)

model = nn.Sequential(
    nn.Linear(30, 32),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(32, len(TAGS)),
    nn.Sigmoid(),
)


def criterion(p, t):
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(t * p.log() + (1 - t) * (1 - p).log()).sum(1).mean()


opt = torch.optim.Adam(model.parameters(), lr=4e-3)
loader = DataLoader(TensorDataset(X_train, Y_train), batch_size=64, shuffle=True)

for epoch in range(1, 26):
    model.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        opt.step()
        total += loss.item() * len(xb)
    if epoch % 5 == 0:
        model.eval()
        with torch.no_grad():
            pred = (model(X_test) > 0.5).numpy()
        print(
            f"epoch {epoch:2d}  loss {total / len(X_train):.4f}  "
            f"micro-F1 {f1_score(Y_test, pred, average='micro', zero_division=0):.3f}  "
            f"exact match {(pred == Y_test).all(1).mean():.3f}"
        )
