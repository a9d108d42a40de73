import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class ConcreteDataset(Dataset):
    def __init__(self, frame, mean, std):
        z = (frame - mean) / std
        self.x = torch.tensor(z.drop(columns="compressive_strength").values, dtype=torch.float32)
        self.y = torch.tensor(z["compressive_strength"].values, dtype=torch.float32)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden1 = nn.Linear(8, 64)
        self.hidden2 = nn.Linear(64, 32)
        self.out = nn.Linear(32, 1)

    def forward(self, x):
        x = torch.relu(self.hidden1(x))
        x = torch.relu(self.hidden2(x))
        return self.out(x)


table = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
table = table.sample(frac=1, random_state=SEED)
mean, std = table[:820].mean(), table[:820].std()
train_loader = DataLoader(ConcreteDataset(table[:820], mean, std), batch_size=32, shuffle=True)
test_set = ConcreteDataset(table[820:], mean, std)

model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)


def squared_error(prediction, target):
    return ((prediction - target) ** 2).mean()


for epoch in range(1, 81):
    epoch_loss = 0.0
    for x, y in train_loader:
        y_hat = model(x)
        loss_val = squared_error(y_hat, y.view(-1, 1))
        optimizer.zero_grad()
        loss_val.backward()
        optimizer.step()
        epoch_loss += loss_val.item()
    if epoch % 10 == 0:
        print("Epoch: %3d, Loss: %.4f" % (epoch, epoch_loss / len(train_loader)))

with torch.no_grad():
    y_hat = model(test_set.x).view(-1)
    err = (y_hat - test_set.y) * float(std["compressive_strength"])
print("test RMSE in MPa: %.3f" % err.pow(2).mean().sqrt().item())
print("test R2: %.4f" % (1 - (y_hat - test_set.y).pow(2).sum() / (test_set.y - test_set.y.mean()).pow(2).sum()).item())
