import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class BinaryActivation(torch.autograd.Function):
    """sign() forward, clipped straight-through gradient backward."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[x.abs() > 1] = 0
        return grad_input


class BinaryMLP(nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.l1 = nn.Linear(n_in, n_hidden)
        self.l2 = nn.Linear(n_hidden, n_hidden)
        self.l3 = nn.Linear(n_hidden, n_hidden)
        self.out = nn.Linear(n_hidden, n_out)

    def forward(self, x):
        x = BinaryActivation.apply(self.l1(x))
        x = BinaryActivation.apply(self.l2(x))
        x = BinaryActivation.apply(self.l3(x))
        return self.out(x)


X, y = load_digits(return_X_y=True)
Xtr, Xte, ytr, yte = train_test_split(X, y, test_size=0.3, random_state=SEED, stratify=y)
sc = StandardScaler().fit(Xtr)
Xtr = torch.tensor(sc.transform(Xtr), dtype=torch.float32)
Xte = torch.tensor(sc.transform(Xte), dtype=torch.float32)
ytr, yte = torch.tensor(ytr), torch.tensor(yte)

model = BinaryMLP(64, 32, 10)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(60):
    perm = torch.randperm(len(Xtr))
    total = 0.0
    for i in range(0, len(perm), 32):
        b = perm[i:i + 32]
        loss = F.cross_entropy(model(Xtr[b]), ytr[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(b)
    if (epoch + 1) % 10 == 0:
        with torch.no_grad():
            acc_tr = (model(Xtr).argmax(1) == ytr).float().mean().item()
            acc_te = (model(Xte).argmax(1) == yte).float().mean().item()
        print(f"epoch {epoch + 1}: loss {total / len(Xtr):.4f} train acc {acc_tr:.4f} test acc {acc_te:.4f}")
