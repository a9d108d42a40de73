import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
Y = (df["sex"] == "male").values.astype("float32").reshape(-1, 1)
X = pd.get_dummies(df.drop(columns=["sex", "year"]), columns=["species", "island"]).values.astype("float32")

X_train, X_test, Y_train, Y_test = train_test_split(X, Y, test_size=0.25, random_state=SEED, stratify=Y)
sc = StandardScaler().fit(X_train)
X_train = torch.tensor(sc.transform(X_train), dtype=torch.float32)
X_test = torch.tensor(sc.transform(X_test), dtype=torch.float32)
Y_train, Y_test = torch.tensor(Y_train), torch.tensor(Y_test)
print("X_train:", tuple(X_train.shape), "X_test:", tuple(X_test.shape))

model = nn.Sequential()
model.add_module("dense1", nn.Linear(X_train.shape[1], 50))
model.add_module("act1", nn.ReLU())
model.add_module("drop1", nn.Dropout(0.2))
model.add_module("dense2", nn.Linear(50, 50))
model.add_module("act2", nn.ReLU())
model.add_module("drop2", nn.Dropout(0.2))
model.add_module("dense3", nn.Linear(50, 1))
model.add_module("out", nn.Softmax(dim=1))

rms = torch.optim.RMSprop(model.parameters(), lr=0.001)
loss_fn = nn.BCELoss()
batch_size = 16
nb_epoch = 60

for epoch in range(1, nb_epoch + 1):
    model.train()
    perm = torch.randperm(len(X_train))
    tot, hit = 0.0, 0
    for i in range(0, len(perm), batch_size):
        b = perm[i:i + batch_size]
        rms.zero_grad()
        p = model(X_train[b])
        loss = loss_fn(p, Y_train[b])
        loss.backward()
        rms.step()
        tot += loss.item() * len(b)
        hit += ((p > 0.5).float() == Y_train[b]).sum().item()
    model.eval()
    with torch.no_grad():
        p = model(X_test)
        vl = loss_fn(p, Y_test).item()
        va = ((p > 0.5).float() == Y_test).float().mean().item()
    if epoch % 5 == 0 or epoch == 1:
        print(f"Epoch {epoch}/{nb_epoch} - loss: {tot/len(perm):.4f} - acc: {hit/len(perm):.4f} - val_loss: {vl:.4f} - val_acc: {va:.4f}")

print("Test score:", vl)
print("Test accuracy:", va)
