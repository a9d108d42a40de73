"""One-bit weights: sign() forward with a straight-through gradient, trained with a home-made Lion optimiser."""
import os
import random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class SignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return torch.where(w >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, g):
        w, = ctx.saved_tensors
        return g * (w.abs() <= 1).float()


class BinLinear(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(o, i).uniform_(-0.3, 0.3))
        self.norm = nn.BatchNorm1d(o)

    def forward(self, x):
        return self.norm(x @ SignSTE.apply(self.weight).T / x.shape[1] ** 0.5)


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.99)):
        super().__init__(params, dict(lr=lr, betas=betas))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.add_(torch.sign(b1 * m + (1 - b1) * p.grad), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


digits = load_digits()
X = torch.tensor(digits.data / 8 - 1, dtype=torch.float32)
y = torch.tensor(digits.target)
order = torch.randperm(len(X))
tr, te = order[:1300], order[1300:]
HID = 256
model = nn.Sequential(BinLinear(64, HID), nn.Hardtanh(), BinLinear(HID, HID), nn.Hardtanh(), BinLinear(HID, 10))
EPOCHS, LR = 40, 2e-3
opt = Lion(model.parameters(), lr=LR)
for epoch in range(EPOCHS):
    for g in opt.param_groups:
        g["lr"] = LR * (1 - epoch / EPOCHS)
    model.train()
    before = [m.weight.detach() >= 0 for m in model if isinstance(m, BinLinear)]
    tot = 0.0
    for b in tr[torch.randperm(len(tr))].split(65):
        loss = nn.functional.cross_entropy(model(X[b]), y[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        for m in model:
            if isinstance(m, BinLinear):
                m.weight.data.clamp_(-1, 1)
        tot += loss.item() / 20
    after = [m.weight.detach() >= 0 for m in model if isinstance(m, BinLinear)]
    if epoch % 8 == 7:
        flips = np.mean([(a != b).float().mean().item() for a, b in zip(after, before)])
        print(f"epoch {epoch + 1} loss {tot:.4f} signs flipped {flips:.4f}")
model.eval()
with torch.no_grad():
    print("test accuracy %.4f" % (model(X[te]).argmax(1) == y[te]).float().mean())
