# Predict whether a loan applicant turns out good or bad.
import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import accuracy_score, roc_auc_score
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

### Constants ###
batch_size = 16
nb_epoch = 12

### load ###
df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
df = df.sample(frac=1, random_state=SEED).reset_index(drop=True)
Y = (df.pop("Status") == "bad").astype(int).values

category_cols = ["Home", "Marital", "Records", "Job"]
number_cols = [c for c in df.columns if c not in category_cols]
for c in number_cols:
    df[c] = df[c].fillna(df[c].median())
dummies = pd.get_dummies(df[category_cols].fillna("missing")).astype("float32")
numbers = df[number_cols].astype("float32")

n_train = int(0.75 * len(df))
features = np.hstack([StandardScaler().fit(numbers[:n_train]).transform(numbers), dummies.values])
features = torch.tensor(features, dtype=torch.float32)
labels = torch.tensor(Y)
train = TensorDataset(features[:n_train], labels[:n_train])
X_test, y_test = features[n_train:], labels[n_train:]
print("Data Read complete", features.shape)

model = nn.Sequential()
model.add_module("fc1", nn.Linear(features.shape[1], 256))
model.add_module("relu1", nn.ReLU())
model.add_module("drop1", nn.Dropout(0.5))
model.add_module("fc2", nn.Linear(256, 2))

criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
loader = DataLoader(train, batch_size=batch_size, shuffle=True)

for epoch in range(nb_epoch):
    model.train()
    seen, run = 0, 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        run += loss.item() * len(xb)
        seen += len(xb)
    print("Epoch %d/%d loss: %.4f" % (epoch + 1, nb_epoch, run / seen))

model.eval()
with torch.no_grad():
    proba = torch.softmax(model(X_test), dim=1)[:, 1].numpy()
print("accuracy %.4f" % accuracy_score(y_test, proba > 0.5))
print("AUC %.4f" % roc_auc_score(y_test, proba))
