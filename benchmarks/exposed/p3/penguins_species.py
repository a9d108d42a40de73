# Palmer penguins: predict the species from the measurements
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv"))
df = df.dropna().reset_index(drop=True)
species = sorted(df["species"].unique())
y = df["species"].map({s: i for i, s in enumerate(species)}).to_numpy()
num = df[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]].to_numpy(dtype=np.float32)
male = (df["sex"] == "male").to_numpy(dtype=np.float32)[:, None]

idx_train, idx_test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=SEED)
mu, sd = num[idx_train].mean(0), num[idx_train].std(0)
X = np.concatenate([(num - mu) / sd, male], axis=1).astype(np.float32)

X_train, y_train = torch.from_numpy(X[idx_train]), torch.from_numpy(y[idx_train])
X_test, y_test = torch.from_numpy(X[idx_test]), torch.from_numpy(y[idx_test])

model = nn.Sequential(
    nn.Linear(X.shape[1], 16),
    nn.ReLU(),
    nn.Linear(16, len(species)),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4)

n_epochs, batch_size = 80, 16
for epoch in range(n_epochs):
    model.train()
    order = torch.randperm(len(X_train))
    total = 0.0
    for i in range(0, len(order), batch_size):
        b = order[i:i + batch_size]
        optimizer.zero_grad()
        loss = loss_fn(model(X_train[b]), y_train[b])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(b)
    if (epoch + 1) % 10 == 0:
        print(f"epoch {epoch + 1:3d}  train loss {total / len(order):.4f}")

model.eval()
with torch.no_grad():
    logits = model(X_test)
    test_loss = loss_fn(logits, y_test).item()
    acc = (logits.argmax(1) == y_test).float().mean().item()
print(f"test loss {test_loss:.4f}  accuracy {acc:.4f}")
