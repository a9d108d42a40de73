import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import r2_score

## compressive strength of concrete from its recipe and age

def set_seed():
    s = int(os.environ.get("SEED", 0))
    random.seed(s); np.random.seed(s); torch.manual_seed(s)
    return s

def load(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv")).drop_duplicates()
    y = df.iloc[:, -1:].to_numpy(dtype=float)
    X = df.iloc[:, :-1].copy()
    age = [c for c in X.columns if "age" in c.lower()][0]
    X[age] = np.log1p(X[age])
    Xa, Xb, ya, yb = train_test_split(X.to_numpy(dtype=float), y, test_size=0.25, random_state=seed)
    sx, sy = StandardScaler().fit(Xa), StandardScaler().fit(ya)
    f = lambda a: torch.as_tensor(a, dtype=torch.float32)
    return f(sx.transform(Xa)), f(sy.transform(ya)), f(sx.transform(Xb)), yb, sy

def build(d):
    return nn.Sequential(nn.Linear(d, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

def train_step(model, opt, xb, yb):
    model.train()
    opt.zero_grad()
    loss = nn.functional.smooth_l1_loss(model(xb), yb)
    loss.backward()
    opt.step()
    return loss.item()

seed = set_seed()
Xa, ya, Xb, yb, sy = load(seed)

model = build(Xa.shape[1])
opt = torch.optim.NAdam(model.parameters(), lr=2e-3)

# sanity check first: one batch must be learnt by heart
for i in range(200):
    l = train_step(model, opt, Xa[:16], ya[:16])
print(f"sanity check, one batch of 16: loss {l:.5f}")
assert l < 0.02

# real run, from scratch
model = build(Xa.shape[1])
EPOCHS, BATCH = 120, 32
for epoch in range(EPOCHS):
    order = torch.randperm(len(Xa))
    losses = [train_step(model, opt, Xa[k], ya[k]) for k in order.split(BATCH)]
    if (epoch + 1) % 20 == 0:
        model.eval()
        with torch.no_grad():
            p = sy.inverse_transform(model(Xb).numpy())
        print(f"epoch {epoch + 1:3d}  train {np.mean(losses):.4f}  test R2 {r2_score(yb, p):.4f}")
