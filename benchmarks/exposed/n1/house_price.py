# Ames house prices with a small network
import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
df = df.drop(columns=["Order", "PID"])
df = df[df["area"] < 4000]
num = df.select_dtypes("number").drop(columns=["price"])
num = num.fillna(num.median())
cat = pd.get_dummies(df[["Neighborhood", "Kitchen.Qual", "Exter.Qual", "Bldg.Type", "Central.Air"]])
X = pd.concat([num, cat.astype(float)], axis=1).values.astype(np.float32)
y = df["price"].values.astype(np.float32).reshape(-1, 1)

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=SEED)
sc = StandardScaler().fit(X_train)
X_train, X_test = sc.transform(X_train), sc.transform(X_test)

train_dl = DataLoader(TensorDataset(torch.tensor(X_train), torch.tensor(y_train)), batch_size=32, shuffle=True)

model = nn.Sequential(nn.Linear(X.shape[1], 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

EPOCHS = 40
for epoch in range(EPOCHS):
    model.train()
    s = 0
    for xb, yb in train_dl:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        s += loss.item() * len(xb)
    if epoch % 5 == 4:
        print("Epoch", epoch + 1, "train loss", s / len(X_train))

model.eval()
with torch.no_grad():
    pred = model(torch.tensor(X_test)).numpy()
rmse = np.sqrt(((pred - y_test) ** 2).mean())
print("RMSE: %.0f dollars" % rmse)
print("test R2: %.4f" % (1 - ((pred - y_test) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()))
