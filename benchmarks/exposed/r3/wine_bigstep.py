# Full-batch gradient descent on the wine table, one hidden layer, 5-fold CV.
import os
import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

X, y = load_wine(return_X_y=True)
STEPS = 300
RATE = 1.0          # full batch and bounded units: big steps are fine
HIDDEN = 8

def init(d, h, k):
    W1 = torch.randn(d, h) / d ** 0.5
    W2 = torch.randn(h, k) / h ** 0.5
    ps = [W1, torch.zeros(h), W2, torch.zeros(k)]
    return [p.requires_grad_() for p in ps]

def forward(ps, x):
    W1, b1, W2, b2 = ps
    return torch.tanh(x @ W1 + b1) @ W2 + b2

right = 0
logloss = 0.0
for fold, (tr, te) in enumerate(StratifiedKFold(5, shuffle=True, random_state=SEED).split(X, y)):
    m, s = X[tr].mean(0), X[tr].std(0)
    xa = torch.tensor((X[tr] - m) / s, dtype=torch.float32)
    xb = torch.tensor((X[te] - m) / s, dtype=torch.float32)
    ya, yb = torch.tensor(y[tr]), torch.tensor(y[te])
    ps = init(X.shape[1], HIDDEN, 3)
    for step in range(STEPS):
        loss = torch.nn.functional.cross_entropy(forward(ps, xa), ya)
        penalty = sum((p ** 2).sum() for p in (ps[0], ps[2]))
        grads = torch.autograd.grad(loss + 1e-3 * penalty, ps)
        with torch.no_grad():
            for p, g in zip(ps, grads):
                p -= RATE * g
        if step % 100 == 0:
            print(f"fold {fold} step {step:4d} loss {loss.item():.4f}")
    with torch.no_grad():
        out = forward(ps, xb)
        right += (out.argmax(1) == yb).sum().item()
        logloss += torch.nn.functional.cross_entropy(out, yb, reduction="sum").item()
    print(f"fold {fold} done, train loss {loss.item():.4f}")

print(f"cross-validated accuracy {right / len(y):.4f}, log loss {logloss / len(y):.4f}")
