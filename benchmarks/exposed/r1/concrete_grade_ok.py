"""Does a mix reach 35 MPa?  Small keras-style net on the concrete table."""
import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import roc_auc_score, accuracy_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

dataset = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv")).values.astype("float32")
# split into input (X) and output (Y) variables
X = dataset[:, 0:8]
Y = (dataset[:, 8] >= 35).astype("float32")
# split into 67% for train and 33% for test
X_train, X_test, y_train, y_test = train_test_split(X, Y, test_size=0.33, random_state=SEED, stratify=Y)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)


# create model
model = nn.Sequential(
    nn.Linear(8, 64), nn.Tanh(), nn.Dropout(0.2),
    nn.Linear(64, 64), nn.Tanh(), nn.Dropout(0.2),
    nn.Linear(64, 1),
)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)

xt = torch.tensor(X_train)
yt = torch.tensor(y_train).unsqueeze(1)
batch_size = 16
for epoch in range(60):
    model.train()
    order = torch.randperm(len(xt))
    run_loss, hits = 0.0, 0
    for start in range(0, len(xt), batch_size):
        sel = order[start:start + batch_size]
        out = model(xt[sel])
        loss = criterion(out, yt[sel])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run_loss += loss.item() * len(sel)
        hits += ((out > 0).float() == yt[sel]).sum().item()
    if epoch % 10 == 9:
        print("epoch %d: loss %.4f acc %.4f" % (epoch + 1, run_loss / len(xt), hits / len(xt)))

model.eval()
with torch.no_grad():
    p = torch.sigmoid(model(torch.tensor(X_test))).squeeze(1).numpy()
print("test accuracy %.4f  auc %.4f" % (accuracy_score(y_test, p > 0.5), roc_auc_score(y_test, p)))
