#!/usr/bin/env python
# coding: utf-8

# In[1]:
import os
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# In[2]:
penguins = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
penguins.describe()

# In[3]:
features = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
X = penguins[features].values.astype("float32")
y = penguins["species"].astype("category").cat.codes.values.astype("int64")
shuffled = np.random.permutation(len(X))
cut = int(0.7 * len(X))
train, test = shuffled[:cut], shuffled[cut:]
X = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
X, y = torch.from_numpy(X), torch.from_numpy(y)

# In[4]:
model = nn.Sequential(nn.Linear(4, 10), nn.Tanh(), nn.Linear(10, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-3)
criterion = nn.CrossEntropyLoss()

# In[5]:
# the table is small: full batch
history = []
for step in range(1500):
    optimizer.zero_grad()
    loss = criterion(model(X[train]), y[train])
    loss.backward()
    optimizer.step()
    history.append(loss.item())
    if step % 150 == 0:
        print(step, history[-1])

# In[6]:
with torch.no_grad():
    pred = model(X).argmax(1)
print("train accuracy", (pred[train] == y[train]).float().mean().item())
print("test accuracy", (pred[test] == y[test]).float().mean().item())
