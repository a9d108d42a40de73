import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
print(df.groupby("species").size())

num_cols = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
y = df["species"].astype("category").cat.codes.to_numpy()
sex = (df["sex"] == "male").to_numpy().astype("float32")[:, None]
X = np.hstack([df[num_cols].to_numpy("float32"), sex])

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
sc = StandardScaler().fit(X_train)
X_train = torch.tensor(sc.transform(X_train), dtype=torch.float32)
X_test = torch.tensor(sc.transform(X_test), dtype=torch.float32)
y_train = torch.tensor(y_train, dtype=torch.long)
y_test = torch.tensor(y_test, dtype=torch.long)

loader = DataLoader(TensorDataset(X_train, y_train), batch_size=16, shuffle=True)

net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
loss = nn.CrossEntropyLoss()
trainer = torch.optim.SGD(net.parameters(), lr=0.1)

num_epochs = 60
for epoch in range(num_epochs):
    net.train()
    total, n = 0.0, 0
    for xb, yb in loader:
        l = loss(net(xb), yb)
        trainer.zero_grad()
        l.backward()
        trainer.step()
        total += l.item() * len(yb)
        n += len(yb)
    if (epoch + 1) % 10 == 0:
        print(f"epoch {epoch + 1}, loss {total / n:.4f}")

net.eval()
with torch.no_grad():
    acc = (net(X_test).argmax(1) == y_test).float().mean().item()
print(f"test accuracy {acc:.4f}")
