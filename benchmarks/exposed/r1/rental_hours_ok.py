import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class BikeData(Dataset):
    """hourly rentals; features in [0, 1], label is log1p(bikers)"""

    def __init__(self, frame, lo, hi):
        values = ((frame.drop(columns="label") - lo) / (hi - lo)).to_numpy()
        self.features = values.astype(np.float32)
        self.labels = frame["label"].to_numpy().astype(np.float32)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.features[i], self.labels[i]


raw = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
raw = raw.sample(3000, random_state=SEED).reset_index(drop=True)
df = raw[["temp", "atemp", "hum", "windspeed", "holiday", "workingday", "season"]].astype(float)
df["hs"] = np.sin(2 * np.pi * raw["hr"] / 24)
df["hc"] = np.cos(2 * np.pi * raw["hr"] / 24)
df["hs2"] = np.sin(4 * np.pi * raw["hr"] / 24)
df["hc2"] = np.cos(4 * np.pi * raw["hr"] / 24)
df["label"] = np.log1p(raw["bikers"])
train, test = df[:2400], df[2400:]
lo, hi = train.drop(columns="label").min(), train.drop(columns="label").max()
train_loader = DataLoader(BikeData(train, lo, hi), batch_size=32, shuffle=True)
test_set = BikeData(test, lo, hi)


class Model(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.dense_0 = nn.Linear(n, 64)
        self.dense_1 = nn.Linear(64, 64)
        self.outputs = nn.Linear(64, 1)

    def forward(self, x):
        x = torch.relu(self.dense_0(x))
        x = torch.relu(self.dense_1(x))
        return self.outputs(x).squeeze(1)


model = Model(df.shape[1] - 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
for epoch in range(25):
    tot = 0.0
    for features, labels in train_loader:
        outputs = model(features)
        squared_diff = (outputs - labels) ** 2
        loss = squared_diff.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tot += loss.item()
    if epoch % 5 == 0:
        print("epoch", epoch, "train loss", round(tot / len(train_loader), 4))

with torch.no_grad():
    pred = model(torch.from_numpy(test_set.features)).numpy().ravel()
truth = test_set.labels
print("test MAE (log) %.4f" % np.abs(pred - truth).mean())
print("test R2 %.4f" % (1 - ((pred - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()))
