import os
import time

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

x = np.arange(-100, 100, 0.5)
y = x ** 4

# every fifth point is kept back
hold = np.arange(len(x)) % 5 == 2

xs = (x - x[~hold].mean()) / x[~hold].std()
shift, scale = y[~hold].mean(), y[~hold].std()
ys = (y - shift) / scale

x_train = torch.tensor(xs[~hold], dtype=torch.float32).reshape(-1, 1)
y_train = torch.tensor(ys[~hold], dtype=torch.float32).reshape(-1, 1)
x_hold = torch.tensor(xs[hold], dtype=torch.float32).reshape(-1, 1)

model = nn.Sequential()
model.append(nn.Linear(1, 50))
model.append(nn.Sigmoid())
model.append(nn.Linear(50, 50))
model.append(nn.ELU())
model.append(nn.Linear(50, 1))
mse = nn.MSELoss()
adam = torch.optim.Adam(model.parameters())


def predict(t):
    with torch.no_grad():
        return model(t).numpy().ravel() * scale + shift


t1 = time.perf_counter()
for i in range(10):
    for _ in range(400):
        adam.zero_grad()
        loss = mse(model(x_train), y_train)
        loss.backward()
        adam.step()
    predictions = predict(x_hold)
    print(i, " ", "%.4g" % np.mean(np.square(predictions - y[hold])), " t: %.1f" % (time.perf_counter() - t1))

ss = np.sum(np.square(predictions - y[hold])) / np.sum(np.square(y[hold] - y[hold].mean()))
print("R^2 on the points kept back: %.4f" % (1 - ss))
