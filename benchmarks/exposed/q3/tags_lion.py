"""Multi-label tagging of bag-of-words documents, trained with the Lion optimiser."""
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import Optimizer
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import average_precision_score, f1_score

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class Lion(Optimizer):
    """Sign of an interpolated momentum, decoupled decay (Chen et al. 2023)."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for g in self.param_groups:
            b1, b2 = g["betas"]
            for p in g["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - g["lr"] * g["weight_decay"])
                p.add_(torch.sign(m * b1 + p.grad * (1 - b1)), alpha=-g["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)


X, Y = make_multilabel_classification(n_samples=6000, n_features=120, n_classes=8, n_labels=2, length=120,
                                      allow_unlabeled=True, random_state=11)
order = np.random.permutation(len(X))
X, Y = X[order], Y[order]
X = np.sqrt(X).astype(np.float32)
train, test = slice(0, 4000), slice(4000, None)
mu = X[train].mean(0)
xt, yt = torch.tensor(X[train] - mu), torch.tensor(Y[train], dtype=torch.float32)
xe = torch.tensor(X[test] - mu)

net = nn.Sequential(nn.Linear(120, 128), nn.GELU(), nn.Dropout(0.3), nn.Linear(128, 8))
opt = Lion(net.parameters(), lr=6e-4, weight_decay=1.0)
epochs = 30
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)

for epoch in range(epochs):
    net.train()
    seen = 0.0
    for j in torch.randperm(len(xt)).split(64):
        loss = F.binary_cross_entropy_with_logits(net(xt[j]), yt[j])
        opt.zero_grad()
        loss.backward()
        opt.step()
        seen += loss.item() * len(j)
    sched.step()
    if epoch % 3 == 2:
        print(f"epoch {epoch + 1}: bce {seen / len(xt):.4f}")

net.eval()
with torch.no_grad():
    p = torch.sigmoid(net(xe)).numpy()
print("label frequencies", Y[train].mean(0).round(2))
print("micro F1 at 0.5: %.4f" % f1_score(Y[test], p > 0.5, average="micro"))
print("mean average precision: %.4f" % average_precision_score(Y[test], p, average="macro"))
