import os
import random

import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# stopping distance against speed, plus a bit of measurement noise
X = np.arange(0.0, 5.0, 0.02, dtype="float32").reshape(-1, 1)
y = 5 * np.power(X, 2) + np.power(np.random.randn(len(X)).reshape(-1, 1), 3)
y = y.astype("float32")

idx = np.random.permutation(len(X))
tr, te = idx[:200], idx[200:]
Xtr, ytr = torch.from_numpy(X[tr]), torch.from_numpy(y[tr])
Xte, yte = torch.from_numpy(X[te]), torch.from_numpy(y[te])

model = nn.Sequential(
    nn.Linear(1, 50),
    nn.ReLU(),
    nn.Linear(50, 30),
    nn.ReLU(),
    nn.Linear(30, 1),
)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
mse = nn.MSELoss()

for epoch in range(800):
    perm = torch.randperm(len(Xtr))
    total = 0.0
    for i in range(0, len(Xtr), 32):
        b = perm[i:i + 32]
        opt.zero_grad()
        loss = mse(model(Xtr[b]), ytr[b])
        loss.backward()
        opt.step()
        total += loss.item() * len(b)
    if (epoch + 1) % 100 == 0:
        print(f"Epoch {epoch + 1}/800 - loss: {total / len(Xtr):.3f}")

model.eval()
with torch.no_grad():
    pred = model(Xte)
    err = ((pred - yte) ** 2).mean().item()
    r2 = 1 - err / yte.var(unbiased=False).item()
print("test mse %.3f  r2 %.4f" % (err, r2))
for s, p, t in list(zip(Xte[:5, 0], pred[:5, 0], yte[:5, 0])):
    print(f"  speed {s:.2f}  predicted {p:.2f}  measured {t:.2f}")
