import os
import random

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def get_transactions():
    # anonymised components, like the public card data set
    X, y = make_classification(n_samples=16000, n_features=20, n_informative=8, n_redundant=4, n_clusters_per_class=2,
                               weights=[0.975], class_sep=0.6, flip_y=0.0, random_state=SEED)
    X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.25, stratify=y, random_state=SEED)
    sc = StandardScaler().fit(X_tr)
    to = lambda a: torch.tensor(a, dtype=torch.float32)
    return to(sc.transform(X_tr)), to(y_tr), to(sc.transform(X_te)), to(y_te)


class FraudNet(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x).squeeze(1)


X_tr, y_tr, X_te, y_te = get_transactions()
loader = DataLoader(TensorDataset(X_tr, y_tr), batch_size=256, shuffle=True)
model = FraudNet(X_tr.shape[1])
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(20):
    model.train()
    epoch_loss, hits = 0.0, 0
    for xb, yb in loader:
        optimizer.zero_grad()
        z = model(xb)
        loss = criterion(z, yb)
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(xb)
        hits += ((z > 0) == (yb > 0.5)).sum().item()
    if (epoch + 1) % 4 == 0:
        print(f"Epoch {epoch + 1:2d} loss {epoch_loss / len(X_tr):.4f} accuracy {hits / len(X_tr):.4f}")

model.eval()
with torch.no_grad():
    pred = (torch.sigmoid(model(X_te)) > 0.5).int().numpy()
truth = y_te.int().numpy()
print(confusion_matrix(truth, pred))
print("test accuracy %.4f  f1 %.4f  balanced accuracy %.4f" % ((pred == truth).mean(), f1_score(truth, pred, zero_division=0), balanced_accuracy_score(truth, pred)))
