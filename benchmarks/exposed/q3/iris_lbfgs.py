# Multinomial logistic regression on iris, fitted with LBFGS; leave 10% out ten times.
import os
import numpy as np
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
torch.set_default_dtype(torch.float64)

X, y = load_iris(return_X_y=True)
hits, n = 0, 0
for fold, (tr, te) in enumerate(StratifiedKFold(10, shuffle=True, random_state=SEED).split(X, y)):
    mu, sd = X[tr].mean(0), X[tr].std(0)
    xt, yt = torch.tensor((X[tr] - mu) / sd), torch.tensor(y[tr])
    W = torch.zeros(4, 3, requires_grad=True)
    b = torch.zeros(3, requires_grad=True)
    opt = torch.optim.LBFGS([W, b], lr=1.0, max_iter=20, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(xt @ W + b, yt) + 2e-3 * W.pow(2).sum()
        loss.backward()
        return loss

    for it in range(8):
        loss = opt.step(closure)
    with torch.no_grad():
        p = (torch.tensor((X[te] - mu) / sd) @ W + b).argmax(1).numpy()
    hits += int((p == y[te]).sum())
    n += len(te)
    print(f"fold {fold}: objective {loss.item():.4f}  |W| {W.norm().item():.2f}  errors {int((p != y[te]).sum())}/{len(te)}")

print(f"cross-validated accuracy {hits / n:.4f}")
