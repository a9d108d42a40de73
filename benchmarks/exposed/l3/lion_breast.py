import os
import torch
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
np.random.seed(SEED)


class Lion(torch.optim.Optimizer):
    """EvoLved sIgn mOmeNtum, arXiv:2302.06675"""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                p.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                m = state["exp_avg"]
                p.add_(torch.sign(b1 * m + (1 - b1) * p.grad), alpha=-group["lr"])
                m.mul_(b2).add_(p.grad, alpha=1 - b2)
        return loss


X, y = load_breast_cancer(return_X_y=True)
n_epochs, lr = 40, 1e-3
scores, logloss = [], []
for fold, (a, b) in enumerate(StratifiedKFold(5, shuffle=True, random_state=SEED).split(X, y)):
    mean, std = X[a].mean(0), X[a].std(0)
    xa, xb = (torch.tensor((X[i] - mean) / std, dtype=torch.float32) for i in (a, b))
    ya, yb = (torch.tensor(y[i], dtype=torch.float32).unsqueeze(1) for i in (a, b))
    model = torch.nn.Sequential(torch.nn.Linear(30, 16), torch.nn.GELU(), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1))
    opt = Lion(model.parameters(), lr=lr, weight_decay=0.5)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_epochs)
    for epoch in range(n_epochs):
        model.train()
        perm = torch.randperm(len(xa))
        for i in range(0, len(xa), 32):
            j = perm[i:i + 32]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(xa[j]), ya[j])
            opt.zero_grad()
            loss.backward()
            opt.step()
        sched.step()
    model.eval()
    with torch.no_grad():
        out = model(xb)
        scores.append(((out > 0).float() == yb).float().mean().item())
        logloss.append(torch.nn.functional.binary_cross_entropy_with_logits(out, yb).item())
    print(f"fold {fold}: train loss {loss.item():.4f}, accuracy {scores[-1]:.4f}, log loss {logloss[-1]:.4f}")
print(f"mean accuracy {np.mean(scores):.4f} +- {np.std(scores):.4f}")
print(f"cv log loss {np.mean(logloss):.4f}")
