"""Digits where some classes are rare; batches are drawn with a weighted sampler."""
import os, random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
X = (X / 16.0).astype(np.float32)
perm = np.random.permutation(len(X))
X, y = X[perm], y[perm]
X_test, y_test = X[:600], y[:600]
X_pool, y_pool = X[600:], y[600:]

# thin out the odd classes
keep = np.array([c % 2 == 0 or np.random.rand() < 0.25 for c in y_pool])
X_train, y_train = X_pool[keep], y_pool[keep]
class_count = np.bincount(y_train, minlength=10)
print("class counts:", class_count.tolist())

train_ds = TensorDataset(torch.from_numpy(X_train), torch.from_numpy(y_train))
weights = 1.0 / torch.tensor(class_count, dtype=torch.double)
sampler = WeightedRandomSampler(weights, num_samples=len(train_ds), replacement=True)
loader = DataLoader(train_ds, batch_size=32, sampler=sampler)

model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(128, 64), nn.ReLU(),
    nn.Linear(64, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def test():
    model.eval()
    with torch.no_grad():
        out = model(torch.from_numpy(X_test))
        l = criterion(out, torch.from_numpy(y_test)).item()
    return l, balanced_accuracy_score(y_test, out.argmax(1).numpy())


for epoch in range(1, 41):
    model.train()
    running = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        running += loss.item()
    if epoch % 5 == 0:
        l, bacc = test()
        print(f"epoch {epoch}: train loss {running / len(loader):.4f} | test loss {l:.4f} balanced acc {bacc:.4f}")
