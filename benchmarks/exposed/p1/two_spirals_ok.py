import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.preprocessing import LabelEncoder

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

dataset_size = 1200


def arm(n, shift):
    t = np.sqrt(np.random.rand(n)) * 1.25 * 2 * np.pi
    r = t / 8
    return np.c_[r * np.cos(t + shift), r * np.sin(t + shift)] + 0.03 * np.random.randn(n, 2)


dataset = []
for a, b in zip(arm(dataset_size // 2, 0), arm(dataset_size // 2, np.pi)):
    dataset.append([a[0], a[1], 1])
    dataset.append([b[0], b[1], 2])

df = pd.DataFrame(dataset, columns=["x", "y", "class"]).sample(frac=1, random_state=seed)
df_train, df_test = df.iloc[:900], df.iloc[900:]
print(df_train.head())

enc = LabelEncoder().fit(df_train["class"])
nr_feats, nr_classes = 2, df_train["class"].nunique()


def to_ds(d):
    x = torch.tensor(d[["x", "y"]].values, dtype=torch.float32)
    return TensorDataset(x, torch.tensor(enc.transform(d["class"]), dtype=torch.long))


model = nn.Sequential(
    nn.Linear(nr_feats, 64), nn.ReLU(),
    nn.Linear(64, 64), nn.ReLU(),
    nn.Linear(64, nr_classes),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
loader = DataLoader(to_ds(df_train), batch_size=32, shuffle=True)
epochs = 120

for epoch in range(epochs):
    losses, correct = [], 0
    for xb, yb in loader:
        optimizer.zero_grad()
        out = model(xb)
        loss = loss_fn(out, yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        correct += (out.argmax(1) == yb).sum().item()
    print(f"Epoch {epoch + 1}/{epochs} loss: {np.mean(losses):.4f} acc: {correct / 900:.4f}")

x_test, y_test = to_ds(df_test).tensors
with torch.no_grad():
    pred = model(x_test).argmax(1)
print(pd.crosstab(y_test.numpy(), pred.numpy(), rownames=["class"], colnames=["pred"]))
print("test acc", (pred == y_test).float().mean().item())
