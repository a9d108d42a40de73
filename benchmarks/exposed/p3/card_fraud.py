# Rare-event detection: about 2% of the (simulated) card payments are fraud
import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.metrics import average_precision_score, roc_auc_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def payments(n):
    amount = rng.lognormal(3.2, 1.0, n)
    hour = rng.integers(0, 24, n)
    gap = rng.exponential(20.0, n)                 # hours since the last payment
    dist = rng.exponential(8.0, n)                 # km from home
    tries = rng.poisson(0.3, n)
    age = rng.uniform(18, 85, n)
    score = (1.3 * (np.log(amount) - 3.2) + 1.0 * np.log1p(dist) - 0.9 * np.log1p(gap) + 1.2 * tries
             + 1.4 * ((hour < 6) & (amount > 40)) - 5.6)
    p = 1 / (1 + np.exp(-score))
    x = np.stack([amount, np.sin(hour / 24 * 2 * np.pi), np.cos(hour / 24 * 2 * np.pi), gap, dist, tries, age], 1)
    return x, (rng.random(n) < p).astype(np.float32), p


x_tr, y_tr, _ = payments(24000)
x_te, y_te, p_te = payments(20000)


def prepare(x):
    x = x.copy()
    x[:, [0, 3, 4]] = np.log1p(x[:, [0, 3, 4]])
    return x


mean, std = prepare(x_tr).mean(0), prepare(x_tr).std(0)
f = lambda x: torch.tensor((prepare(x) - mean) / std, dtype=torch.float32)

loader = DataLoader(TensorDataset(f(x_tr), torch.tensor(y_tr)), batch_size=256, shuffle=True, drop_last=True)
model = nn.Sequential(nn.Linear(7, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
nn.init.constant_(model[-1].bias, float(np.log(y_tr.mean() / (1 - y_tr.mean()))))     # start at the base rate
criterion = nn.BCEWithLogitsLoss()
EPOCHS = 12
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
print(f"{int(y_tr.sum())} frauds in {len(y_tr)} payments")

for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb).squeeze(1), yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    scheduler.step()
    print(f"epoch {epoch + 1}: loss {total / len(loader):.5f}")

model.eval()
with torch.no_grad():
    s = torch.sigmoid(model(f(x_te)).squeeze(1)).numpy()
print(f"average precision {average_precision_score(y_te, s):.4f}, ROC AUC {roc_auc_score(y_te, s):.4f}"
      f"  [true risks: {average_precision_score(y_te, p_te):.4f}, {roc_auc_score(y_te, p_te):.4f}]")
