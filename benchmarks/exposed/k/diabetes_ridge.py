import os
import numpy as np
import torch
from sklearn.datasets import load_diabetes

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_diabetes(return_X_y=True, scaled=False)
idx = np.random.permutation(len(X))
tr, te = idx[:330], idx[330:]
X = (X - X[tr].mean(0)) / X[tr].std(0)
y_mean = y[tr].mean()
X = torch.tensor(X, dtype=torch.float32)
t = torch.tensor((y - y_mean) / y[tr].std(), dtype=torch.float32)

# ridge regression by stochastic gradient descent
w = torch.zeros(X.shape[1], requires_grad=True)
b = torch.zeros(1, requires_grad=True)
l2 = 0.02
lr0 = 0.05

for epoch in range(400):
    lr = lr0 / (1 + 0.05 * epoch)
    perm = tr[np.random.permutation(len(tr))]
    total = 0.0
    for i in range(0, len(perm), 8):
        j = perm[i:i + 8]
        err = X[j] @ w + b - t[j]
        loss = (err ** 2).mean() + l2 * (w ** 2).sum()
        loss.backward()
        with torch.no_grad():
            w -= lr * w.grad
            b -= lr * b.grad
            w.grad.zero_()
            b.grad.zero_()
        total += loss.item() * len(j)
    if epoch % 40 == 0:
        print("epoch", epoch, "objective", round(total / len(tr), 4))

with torch.no_grad():
    p = X @ w + b
    for name, part in (("train", tr), ("test", te)):
        r2 = 1 - ((p[part] - t[part]) ** 2).sum() / ((t[part] - t[part].mean()) ** 2).sum()
        print(name, "R^2", round(r2.item(), 4))
