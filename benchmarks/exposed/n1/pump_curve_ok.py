import os
import random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def make_rows(n, rng):
    """Simulated test bench: speed, valve opening, viscosity, temperature, pipe length -> head (m)."""
    speed = rng.uniform(0.4, 1.2, n)
    valve = rng.uniform(0.1, 1.0, n)
    visc = rng.uniform(1, 20, n)
    temp = rng.uniform(5, 80, n)
    length = rng.uniform(2, 60, n)
    flow = speed * np.sqrt(valve)
    head = 40 * speed ** 2 - 14 * flow ** 2 - 0.05 * visc * flow - 0.12 * length * flow ** 1.8 + 0.02 * temp
    head = head + rng.normal(0, 0.8, n)
    return np.stack([speed, valve, visc, temp, length], 1), head


class HeadModel(nn.Module):
    def __init__(self, n_in, width=48):
        super().__init__()
        self.a = nn.Linear(n_in, width)
        self.b = nn.Linear(width, width)
        self.c = nn.Linear(width, 1)

    def forward(self, x):
        x = torch.relu(self.a(x))
        x = torch.relu(self.b(x))
        return self.c(x).squeeze(1)


def squared_error(pred, true):
    return ((pred - true) ** 2).mean()


class Trainer:
    def __init__(self, model, lr=3e-3, batch=64):
        self.model, self.batch = model, batch
        self.opt = torch.optim.Adam(model.parameters(), lr=lr)

    def fit(self, X, y, epochs):
        for ep in range(epochs):
            perm = np.random.permutation(len(X))
            tot = 0.0
            for k in range(0, len(X), self.batch):
                b = perm[k:k + self.batch]
                loss = squared_error(self.model(X[b]), y[b])
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
                tot += loss.item() * len(b)
            if ep % 10 == 0 or ep == epochs - 1:
                print("epoch", ep, "mse", round(tot / len(X), 4))

    def predict(self, X):
        with torch.no_grad():
            return self.model(X).numpy().ravel()


rng = np.random.default_rng(SEED)
X, y = make_rows(2500, rng)
Xt, yt = make_rows(800, rng)
m, s = X.mean(0), X.std(0)
ym, ys = y.mean(), y.std()
X = torch.tensor((X - m) / s, dtype=torch.float32)
Xt = torch.tensor((Xt - m) / s, dtype=torch.float32)
y = torch.tensor((y - ym) / ys, dtype=torch.float32)

t = Trainer(HeadModel(X.shape[1]))
t.fit(X, y, epochs=50)
p = t.predict(Xt) * ys + ym
print("mean abs error: %.3f m" % np.abs(p - yt).mean())
print("test R2: %.4f" % (1 - ((p - yt) ** 2).sum() / ((yt - yt.mean()) ** 2).sum()))
