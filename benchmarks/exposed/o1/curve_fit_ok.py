import os
import random
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# datapoints: a noisy parabola
X = np.arange(0.0, 5.0, 0.02, dtype="float32").reshape(-1, 1)
y = 5 * np.power(X, 2) + np.power(np.random.randn(len(X)).reshape(-1, 1), 3)
y = y.astype("float32")

order = np.random.permutation(len(X))
tr, te = order[:200], order[200:]
X_train, y_train = torch.from_numpy(X[tr]), torch.from_numpy(y[tr])
X_test, y_test = torch.from_numpy(X[te]), torch.from_numpy(y[te])

# model
model = nn.Sequential(
    nn.Linear(1, 50),
    nn.ReLU(),
    nn.Linear(50, 30),
    nn.ReLU(),
    nn.Linear(30, 1),
)

# training
sgd = torch.optim.SGD(model.parameters(), lr=0.001)
mse = nn.MSELoss()
batch_size = 32
for epoch in range(600):
    p = torch.randperm(len(X_train))
    losses = []
    for k in range(0, len(p), batch_size):
        b = p[k:k + batch_size]
        loss = mse(model(X_train[b]), y_train[b])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    if epoch % 100 == 0 or epoch == 599:
        print("epoch %4d  mse %.3f" % (epoch, np.mean(losses)))

# predictions
with torch.no_grad():
    pred = model(X_test)
rmse = torch.sqrt(((pred - y_test) ** 2).mean()).item()
print("test rmse %.3f (std of the target %.3f)" % (rmse, y_test.std().item()))
