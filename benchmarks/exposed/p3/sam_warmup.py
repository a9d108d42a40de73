"""Sharpness-aware SGD at a large step size with warm-up; weights averaged (EMA) for the evaluation."""
import copy
import math
import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base, rho=0.05, **kw):
        super().__init__(params, dict(rho=rho, **kw))
        self.base = base(self.param_groups, **kw)
        self.param_groups = self.base.param_groups

    @torch.no_grad()
    def first_step(self):
        ps = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        norm = torch.norm(torch.stack([p.grad.norm() for p in ps]))
        for g in self.param_groups:
            for p in g["params"]:
                e = p.grad * (g["rho"] / (norm + 1e-12))
                self.state[p]["e"] = e
                p.add_(e)
        self.zero_grad()

    @torch.no_grad()
    def second_step(self):
        for g in self.param_groups:
            for p in g["params"]:
                p.sub_(self.state[p]["e"])
        self.base.step()
        self.zero_grad()

    def step(self, closure=None):
        raise NotImplementedError("call first_step and second_step")


X, y = load_digits(return_X_y=True)
X_tr, X_te, y_tr, y_te = train_test_split(X / 8.0 - 1.0, y, test_size=0.3, stratify=y, random_state=SEED)
X_tr, X_te = (torch.tensor(a, dtype=torch.float32) for a in (X_tr, X_te))
y_tr, y_te = torch.tensor(y_tr), torch.tensor(y_te)

net = nn.Sequential(nn.Linear(64, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, 128), nn.LayerNorm(128), nn.ReLU(),
                    nn.Linear(128, 10))
ema = copy.deepcopy(net).requires_grad_(False)
PEAK, EPOCHS, BS = 0.3, 60, 64
opt = SAM(net.parameters(), torch.optim.SGD, rho=0.3, lr=PEAK, momentum=0.8, weight_decay=1e-3)
loss_fn = nn.CrossEntropyLoss()
total = EPOCHS * math.ceil(len(X_tr) / BS)
warm, step = total // 10, 0

for epoch in range(EPOCHS):
    run = 0.0
    for b in torch.randperm(len(X_tr)).split(BS):
        lr = PEAK * min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / total)))
        for g in opt.param_groups:
            g["lr"] = lr
        loss = loss_fn(net(X_tr[b]), y_tr[b])
        loss.backward()
        opt.first_step()
        loss_fn(net(X_tr[b]), y_tr[b]).backward()
        opt.second_step()
        decay = min(0.99, (1 + step) / (10 + step))
        with torch.no_grad():
            for pe, p in zip(ema.parameters(), net.parameters()):
                pe.lerp_(p, 1 - decay)
        run += loss.item() * len(b)
        step += 1
    if epoch % 6 == 5:
        print(f"epoch {epoch + 1} lr {lr:.3f} loss {run / len(X_tr):.4f}")

ema.eval()
with torch.no_grad():
    out = ema(X_te)
print(f"test loss {loss_fn(out, y_te):.4f} accuracy {(out.argmax(1) == y_te).float().mean():.4f}")
