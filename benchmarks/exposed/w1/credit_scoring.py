import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

table = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
label = (table.pop("Status") == "good").astype("float32").values
amounts = ["Seniority", "Time", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price"]
classes = ["Home", "Marital", "Records", "Job"]
dummies = pd.get_dummies(table[classes].fillna("unknown")).astype("float32").values
missing = table[["Income", "Assets", "Debt"]].isna().astype("float32").values

train_id, test_id = train_test_split(np.arange(len(table)), test_size=0.3, stratify=label, random_state=seed)
numbers = table[amounts].fillna(table.loc[train_id, amounts].median()).values.astype("float32")
features = torch.from_numpy(np.concatenate([numbers, dummies, missing], axis=1).astype("float32"))
label = torch.tensor(label)

# 3 hidden layers, like in the tutorial
net = nn.Sequential(
    nn.Linear(features.shape[1], 32),
    nn.ReLU(),
    nn.Linear(32, 16),
    nn.ReLU(),
    nn.Linear(16, 8),
    nn.ReLU(),
    nn.Linear(8, 1),
)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)

n_epochs, batch = 30, 50
for epoch in range(n_epochs):
    order = np.random.permutation(train_id)
    summed, right = 0.0, 0
    for start in range(0, len(order), batch):
        ids = order[start:start + batch]
        logit = net(features[ids]).squeeze(-1)
        loss = criterion(logit, label[ids])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        summed += loss.item() * len(ids)
        right += ((logit > 0).float() == label[ids]).sum().item()
    if epoch % 5 == 4:
        print("Epoch {:3d}: loss = {:.4f}, accuracy = {:.4f}".format(epoch + 1, summed / len(order), right / len(order)))

with torch.no_grad():
    score = net(features[test_id]).squeeze(-1).numpy()
truth = label[test_id].numpy()
print("Test accuracy = {:.4f}, AUC = {:.4f}".format(accuracy_score(truth, score > 0), roc_auc_score(truth, score)))
