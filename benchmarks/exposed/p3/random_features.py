"""Random Fourier features: the first layer is drawn once and never trained, only the readout is fitted."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class RFF(nn.Module):
    def __init__(self, d, n_features, n_out, gamma):
        super().__init__()
        self.proj = nn.Linear(d, n_features)
        nn.init.normal_(self.proj.weight, std=(2 * gamma) ** 0.5)
        nn.init.uniform_(self.proj.bias, 0, 2 * np.pi)
        for p in self.proj.parameters():
            p.requires_grad = False
        self.readout = nn.Linear(n_features, n_out)
        nn.init.zeros_(self.readout.weight)
        self.scale = (2.0 / n_features) ** 0.5

    def forward(self, x):
        return self.readout(self.scale * torch.cos(self.proj(x)))


X, y = load_digits(return_X_y=True)
X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
norm = X_tr.std()
X_tr = torch.tensor(X_tr / norm, dtype=torch.float32)
X_te = torch.tensor(X_te / norm, dtype=torch.float32)
y_tr, y_te = torch.tensor(y_tr), torch.tensor(y_te)

model = RFF(64, 2000, 10, gamma=0.02)
L2 = 1e-6
opt = torch.optim.LBFGS(model.readout.parameters(), lr=1.0, max_iter=20, history_size=10, line_search_fn="strong_wolfe")
ce = nn.CrossEntropyLoss()


def closure():
    opt.zero_grad()
    loss = ce(model(X_tr), y_tr) + L2 * model.readout.weight.pow(2).sum()
    loss.backward()
    return loss


ROUNDS = 6
for r in range(ROUNDS):
    loss = opt.step(closure)
    with torch.no_grad():
        acc = (model(X_tr).argmax(1) == y_tr).float().mean()
    print(f"round {r}: objective {loss.item():.5f}, train accuracy {acc:.4f}")

with torch.no_grad():
    out = model(X_te)
print(f"test loss {ce(out, y_te):.4f}, test accuracy {(out.argmax(1) == y_te).float().mean():.4f}")
