import os
import random
import numpy as np
import torch
from torch import nn
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def readings(n, rng):
    # 24 channels of a machine driven by four slow factors
    z = rng.normal(size=(n, 4))
    mix = np.random.RandomState(7).normal(size=(4, 24))
    bend = np.random.RandomState(8).normal(size=(4, 24)) * 0.5
    x = 20 + 6 * (z @ mix + np.tanh(z) ** 2 @ bend) + rng.normal(scale=0.8, size=(n, 24))
    return x.astype("float32")


rng = np.random.RandomState(SEED)
train, test = readings(3000, rng), readings(1000, rng)
scaler = StandardScaler().fit(train)
train = torch.tensor(scaler.transform(train))
test = torch.tensor(scaler.transform(test))


class AutoEncoder(nn.Module):
    def __init__(self, n_features, encoding_dim=4):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(n_features, 64), nn.ReLU(),
            nn.Linear(64, encoding_dim))
        self.decoder = nn.Sequential(
            nn.Linear(encoding_dim, 64), nn.ReLU(),
            nn.Linear(64, n_features))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def run_epoch(model, data, opt=None, batch_size=64):
    model.train(opt is not None)
    total = 0.0
    for rows in torch.randperm(len(data)).split(batch_size):
        xb = data[rows]
        loss = nn.functional.mse_loss(model(xb), xb)
        if opt is not None:
            opt.zero_grad()
            loss.backward()
            opt.step()
        total += loss.item() * len(xb)
    return total / len(data)


model = AutoEncoder(train.shape[1])
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(1, 61):
    tr = run_epoch(model, train, opt)
    with torch.no_grad():
        te = run_epoch(model, test)
    if epoch % 10 == 0:
        print(f"epoch {epoch:3d}  train mse {tr:.4f}  test mse {te:.4f}")
print(f"explained variance on new readings: {1 - te / test.var(unbiased=False).item():.4f}")
