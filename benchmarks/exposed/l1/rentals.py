# Hourly bike rentals: feed-forward regression
import os
import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
df = df.drop(columns=["casual", "registered"])
train_df, test_df = train_test_split(df, test_size=0.2, random_state=SEED)

cat = ["season", "mnth", "hr", "weekday", "weathersit"]
num = ["holiday", "workingday", "temp", "atemp", "hum", "windspeed"]
prep = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), cat),
                          ("n", StandardScaler(), num)])
X_train = torch.tensor(prep.fit_transform(train_df), dtype=torch.float32)
X_test = torch.tensor(prep.transform(test_df), dtype=torch.float32)
y_scaler = StandardScaler()
y_train = torch.tensor(y_scaler.fit_transform(train_df[["bikers"]]), dtype=torch.float32)
y_test = test_df["bikers"].to_numpy()


def build_model(n_features):
    model = nn.Sequential()
    model.add_module("dense_1", nn.Linear(n_features, 128))
    model.add_module("dense_2", nn.Linear(128, 64))
    model.add_module("dense_3", nn.Linear(64, 32))
    model.add_module("output", nn.Linear(32, 1))
    return model


model = build_model(X_train.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loss_fn = nn.MSELoss()

batch_size = 64
history = []
for epoch in range(15):
    order = np.random.permutation(len(X_train))
    losses = []
    for start in range(0, len(order), batch_size):
        idx = order[start:start + batch_size]
        pred = model(X_train[idx])
        loss = loss_fn(pred, y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history.append(np.mean(losses))
    if (epoch + 1) % 5 == 0:
        print(f"Epoch {epoch + 1}/15  loss {history[-1]:.4f}")

with torch.no_grad():
    pred = y_scaler.inverse_transform(model(X_test).numpy()).ravel()
rmse = np.sqrt(np.mean((pred - y_test) ** 2))
mae = np.mean(np.abs(pred - y_test))
print(f"test RMSE {rmse:.2f} bikes, MAE {mae:.2f} bikes")
