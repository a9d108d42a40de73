"""Domain-adversarial training (Ganin & Lempitsky) : labelled source, shifted unlabelled target, gradient reversal."""
import math, os
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def sample(n, target):
    """two informative coordinates, and nuisance coordinates that tell the label in the source only"""
    y = torch.randint(0, 2, (n,))
    s = (2 * y - 1).float()
    core = torch.stack([s * 1.0, s * 0.8], 1) + torch.randn(n, 2)
    shift = torch.randn(n, 6) * 0.7 + (1.2 if target else -1.2)
    return torch.cat([core, shift + 0.35 * s[:, None] * (0.0 if target else 1.0)], 1), y


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lam):
        ctx.lam = lam
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return -ctx.lam * g, None


feat = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
label_head = nn.Linear(16, 2)
domain_head = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
params = [*feat.parameters(), *label_head.parameters(), *domain_head.parameters()]
LR, STEPS = 7e-4, 1200
opt = torch.optim.Adam(params, lr=LR, betas=(0.5, 0.99))
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda k: (1 + 10 * k / STEPS) ** -0.75)

xs, ys = sample(2000, False)
xt, _ = sample(2000, True)
x_test, y_test = sample(3000, True)
for step in range(STEPS):
    i, j = torch.randint(0, 2000, (128,)), torch.randint(0, 2000, (128,))
    lam = 2 / (1 + math.exp(-10 * step / STEPS)) - 1
    h = feat(torch.cat([xs[i], xt[j]]))
    cls = F.cross_entropy(label_head(h[:128]), ys[i])
    dom_t = torch.cat([torch.zeros(128), torch.ones(128)])
    dom = F.binary_cross_entropy_with_logits(domain_head(Reverse.apply(h, lam)).squeeze(1), dom_t)
    opt.zero_grad()
    (cls + dom).backward()
    opt.step()
    sched.step()
    if step % 120 == 0:
        print(f"{step:5d}  class {cls.item():.3f}  domain {dom.item():.3f}  lambda {lam:.2f}")

with torch.no_grad():
    acc = (label_head(feat(x_test)).argmax(1) == y_test).float().mean().item()
print(f"target accuracy {acc:.4f}")
