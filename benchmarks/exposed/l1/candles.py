import os
import numpy as np
import torch
import torch.nn as nn
from sklearn.metrics import confusion_matrix
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def make_windows(n, rng):
    """n windows of ten bars with open/high/low/close; label 1 if the swing before the window end was upward."""
    drift = rng.normal(0, 0.25, size=(n, 1))
    steps = drift + rng.normal(0, 0.5, size=(n, 11))
    price = np.cumsum(steps, axis=1)
    o, c = price[:, :-1], price[:, 1:]
    hi = np.maximum(o, c) + rng.exponential(0.2, size=o.shape)
    lo = np.minimum(o, c) - rng.exponential(0.2, size=o.shape)
    x = np.stack([o, hi, lo, c], axis=1)
    up = (c[:, -1] - c[:, 4]) + 0.5 * (hi[:, 5:].max(1) - hi[:, :5].max(1)) + rng.normal(0, 0.5, n)
    return x.astype("float32"), (up > -0.4).astype("float32")


rng = np.random.RandomState(100 + SEED)
X_train, y_train = make_windows(6000, rng)
X_test, y_test = make_windows(2000, rng)
mean, std = X_train.mean(), X_train.std()
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std

train = DataLoader(TensorDataset(torch.from_numpy(X_train), torch.from_numpy(y_train)[:, None]),
                   batch_size=128, shuffle=True)

model = nn.Sequential(
    nn.Conv1d(4, 16, kernel_size=4, padding="same"),
    nn.BatchNorm1d(16),
    nn.LeakyReLU(),
    nn.Dropout(0.2),
    nn.Conv1d(16, 8, kernel_size=4, padding="same"),
    nn.BatchNorm1d(8),
    nn.LeakyReLU(),
    nn.Dropout(0.2),
    nn.Flatten(),
    nn.Linear(80, 64),
    nn.BatchNorm1d(64),
    nn.LeakyReLU(),
    nn.Linear(64, 1),
    nn.Softmax(dim=1),
)
optimizer = torch.optim.Adam(model.parameters())
criterion = nn.BCELoss()
reduce_lr = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.9, patience=10, min_lr=1e-6)


def predict(x):
    model.eval()
    with torch.no_grad():
        return (model(torch.from_numpy(x)) > 0.5).float().squeeze(1).numpy()


for epoch in range(15):
    model.train()
    running = 0.0
    for xb, yb in train:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(xb)
    val_acc = (predict(X_test) == y_test).mean()
    reduce_lr.step(val_acc)
    print(f"epoch {epoch + 1}: loss {running / len(X_train):.4f} val_acc {val_acc:.4f}")

print(confusion_matrix(y_test, predict(X_test)))
print("accuracy", (predict(X_test) == y_test).mean())
