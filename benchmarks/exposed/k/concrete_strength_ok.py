import os
import random

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
target = "compressive_strength"
features = [c for c in df.columns if c != target]

train_df, test_df = train_test_split(df, test_size=0.25, random_state=SEED)
scaler = StandardScaler().fit(train_df[features])
y_mean, y_std = train_df[target].mean(), train_df[target].std()

x_train = torch.tensor(scaler.transform(train_df[features]), dtype=torch.float32)
x_test = torch.tensor(scaler.transform(test_df[features]), dtype=torch.float32)
y_train = torch.tensor(((train_df[target] - y_mean) / y_std).values, dtype=torch.float32)
y_test = test_df[target].values

train_loader = DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True)

model = nn.Sequential(
    nn.Linear(len(features), 64),
    nn.ReLU(),
    nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 1),
)
optimizer = optim.Adam(model.parameters(), lr=2e-3)


def squared_error(pred, target):
    return ((pred - target) ** 2).mean()


def evaluate():
    model.eval()
    with torch.no_grad():
        pred = model(x_test).numpy().ravel() * y_std + y_mean
    rmse = np.sqrt(np.mean((pred - y_test) ** 2))
    r2 = 1 - np.sum((pred - y_test) ** 2) / np.sum((y_test - y_test.mean()) ** 2)
    return rmse, r2


for epoch in range(1, 121):
    model.train()
    running = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        output = model(xb).squeeze(1)
        loss = squared_error(output, yb)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(xb)
    if epoch % 10 == 0:
        rmse, r2 = evaluate()
        print(f"epoch {epoch:3d}  train mse {running / len(x_train):.4f}  test rmse {rmse:.2f} MPa  r2 {r2:.3f}")

rmse, r2 = evaluate()
print(f"final: rmse {rmse:.2f} MPa, r2 {r2:.3f}")
