import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

BATCH_SIZE = 64
EPOCHS = 60
LEARNING_RATE = 0.02


class HouseDataset(Dataset):
    def __init__(self, X, y):
        self.X = torch.as_tensor(X, dtype=torch.float32)
        self.y = torch.as_tensor(y, dtype=torch.float32).unsqueeze(1)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


raw = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"))
y = np.log10(raw.pop("Sale_Price").values)
num = raw.select_dtypes("number")
cat = raw[["Neighborhood", "Bldg_Type", "House_Style", "Overall_Cond", "Central_Air", "Foundation", "Functional"]]
X = np.hstack([num.values, pd.get_dummies(cat).values]).astype(np.float64)

idx = np.random.permutation(len(X))
n_test = 500
test_idx, train_idx = idx[:n_test], idx[n_test:]
mean, std = X[train_idx].mean(0), X[train_idx].std(0)
std[std == 0] = 1
X = np.clip((X - mean) / std, -5, 5)
ym, ys = y[train_idx].mean(), y[train_idx].std()
y = (y - ym) / ys

train_dl = DataLoader(HouseDataset(X[train_idx], y[train_idx]), batch_size=BATCH_SIZE, shuffle=True)
test_dl = DataLoader(HouseDataset(X[test_idx], y[test_idx]), batch_size=256)

model = nn.Sequential(nn.Linear(X.shape[1], 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
loss_fn = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.5, weight_decay=1e-4)
scheduler = StepLR(optimizer, step_size=25, gamma=0.3)


def train_epoch():
    model.train()
    total = 0
    for xb, yb in train_dl:
        loss = loss_fn(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(xb)
    return total / len(train_idx)


def test():
    model.eval()
    with torch.no_grad():
        se = sum(((model(xb) - yb) ** 2).sum().item() for xb, yb in test_dl)
    return se / n_test


for epoch in range(EPOCHS):
    tr = train_epoch()
    te = test()
    scheduler.step()
    if epoch % 5 == 4:
        print("epoch", epoch + 1, "train mse %.4f" % tr, "test mse %.4f" % te)

print("test R2: %.4f   RMSE(log10): %.4f" % (1 - test() / y[test_idx].var(), ys * test() ** 0.5))
