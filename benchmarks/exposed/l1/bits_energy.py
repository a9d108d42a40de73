"""Map binary configuration vectors to a real-valued energy."""
import argparse
import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

p = argparse.ArgumentParser()
p.add_argument("--layers", type=int, default=4)
p.add_argument("--width", type=int, default=100)
p.add_argument("--epochs", type=int, default=20)
p.add_argument("--lr", type=float, default=0.01)
args = p.parse_args()

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# energy of a spin configuration with local fields and pair couplings
world = np.random.RandomState(5)
n_bits = 24
h = world.randn(n_bits)
J = np.triu(world.randn(n_bits, n_bits) * (world.rand(n_bits, n_bits) < 0.15), 1)
bits = np.random.randint(0, 2, size=(10000, n_bits))
s = 2.0 * bits - 1.0
energy = s @ h + np.einsum("ni,ij,nj->n", s, J, s)

X = torch.tensor(bits, dtype=torch.float32)
y = torch.tensor(energy, dtype=torch.float32).view(-1, 1)
X_tr, y_tr, X_va, y_va = X[:8000], y[:8000], X[8000:], y[8000:]
mu, sd = y_tr.mean(), y_tr.std()
loader = DataLoader(TensorDataset(X_tr, (y_tr - mu) / sd), batch_size=64, shuffle=True)

modules, width_in = [], n_bits
for _ in range(args.layers):
    modules += [nn.Linear(width_in, args.width), nn.Sigmoid()]
    width_in = args.width
modules.append(nn.Linear(width_in, 1))
model = nn.Sequential(*modules)
print(model)

opt = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
mse = nn.MSELoss()

for epoch in range(args.epochs):
    model.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        loss = mse(model(xb), yb)
        loss.backward()
        opt.step()
        total += loss.item() * len(xb)
    model.eval()
    with torch.no_grad():
        val = mse(model(X_va), (y_va - mu) / sd).item()
    if epoch % 3 == 0 or epoch == args.epochs - 1:
        print(f"epoch {epoch:3d}  train mse {total / len(X_tr):.4f}  val mse {val:.4f}")

with torch.no_grad():
    pred = model(X_va) * sd + mu
r2 = 1 - ((pred - y_va) ** 2).sum() / ((y_va - y_va.mean()) ** 2).sum()
print(f"validation R2 {r2.item():.4f}")
