import os
import math
import random
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class GasSensor(Dataset):
    """Normalised concentration from voltage, temperature and humidity; the scatter grows with humidity."""

    def __init__(self, n, rng):
        v = rng.uniform(-1, 1, n)
        temp = rng.normal(0, 1, n)
        hum = rng.uniform(0, 1, n)
        conc = 0.5 * np.sin(2.5 * v) + 0.08 * temp * v + 0.05 * temp
        self.sd = 0.01 + 0.09 * hum ** 2
        self.x = torch.tensor(np.stack([v, temp, 2 * hum - 1], 1), dtype=torch.float32)
        self.y = torch.tensor(conc + self.sd * rng.standard_normal(n), dtype=torch.float32)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


rng = np.random.default_rng(SEED)
train_set, test_set = GasSensor(3000, rng), GasSensor(3000, rng)
loader = DataLoader(train_set, batch_size=128, shuffle=True)

body = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
mean_head = nn.Linear(64, 1)
var_head = nn.Sequential(nn.Linear(64, 1), nn.Softplus())
modules = nn.ModuleList([body, mean_head, var_head])
criterion = nn.GaussianNLLLoss(full=True, eps=1e-5)


def predict(x):
    h = body(x)
    return mean_head(h).squeeze(1), var_head(h).squeeze(1) * 0.1


epochs = 100
optimizer = torch.optim.Adam(modules.parameters(), lr=4e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs=epochs, steps_per_epoch=len(loader))
for epoch in range(epochs):
    running = 0.0
    for x, y in loader:
        mu, var = predict(x)
        loss = criterion(mu, y, var)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        running += loss.item() * len(y)
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: nll {running / len(train_set):.4f}")

with torch.no_grad():
    mu, var = predict(test_set.x)
    z = (test_set.y - mu) / var.sqrt()
    inside = (z.abs() < 1.96).float().mean().item()
    truth = np.mean(0.5 * math.log(2 * math.pi) + np.log(test_set.sd) + 0.5)
    print(f"95% interval covers {inside:.3f}; nll of the true law would be {truth:.3f}")
    print(f"test nll {criterion(mu, test_set.y, var).item():.4f}")
