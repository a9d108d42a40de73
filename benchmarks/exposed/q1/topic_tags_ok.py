import os
import random
import numpy as np
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", "0"))
torch.manual_seed(SEED)
np.random.seed(SEED)
random.seed(SEED)

# word counts of short documents, each document carries any number of six tags
X, Y = make_multilabel_classification(n_samples=5000, n_features=30, n_classes=6, n_labels=3, length=150, random_state=SEED)
X_train, X_test, y_train, y_test = train_test_split(X, Y, test_size=0.20, random_state=SEED)
X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, test_size=0.15, random_state=SEED)
mean, std = X_train.mean(0), X_train.std(0) + 1e-8

def to_ds(a, b):
    return TensorDataset(torch.tensor((a - mean) / std, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))

train_dl = DataLoader(to_ds(X_train, y_train), batch_size=32, shuffle=True)
val_dl = DataLoader(to_ds(X_val, y_val), batch_size=256)
test_dl = DataLoader(to_ds(X_test, y_test), batch_size=256)

model = nn.Sequential(
    nn.Linear(30, 40), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(40, 40), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(40, 6),
)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

def tags(loader):
    model.eval()
    out, ref = [], []
    with torch.no_grad():
        for xb, yb in loader:
            out.append((torch.sigmoid(model(xb)) > 0.5).int())
            ref.append(yb.int())
    return torch.cat(out).numpy(), torch.cat(ref).numpy()

for epoch in range(1, 16):
    model.train()
    running, seen = 0.0, 0
    for xb, yb in train_dl:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(xb)
        seen += len(xb)
    p, r = tags(val_dl)
    print("epoch %02d loss %.4f val micro-F1 %.3f" % (epoch, running / seen, f1_score(r, p, average="micro", zero_division=0)))

p, r = tags(test_dl)
print("exact match: %.3f" % (p == r).all(1).mean())
print("test micro-F1: %.4f" % f1_score(r, p, average="micro", zero_division=0))
