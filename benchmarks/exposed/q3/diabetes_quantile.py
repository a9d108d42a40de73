# Quantile regression (10%, 50%, 90%) of disease progression; 5-fold, pinball loss.
import os
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_diabetes(return_X_y=True)
X, y = X.astype(np.float32), y.astype(np.float32)
TAUS = torch.tensor([0.1, 0.5, 0.9])


def pinball(q, y):
    e = y.unsqueeze(1) - q
    return torch.maximum(TAUS * e, (TAUS - 1) * e).mean()


class Quantiles(nn.Module):
    """Median plus two positive distances, so the quantiles cannot cross."""

    def __init__(self, d, hidden=32):
        super().__init__()
        self.linear = nn.Linear(d, 3)
        self.bend = nn.Sequential(nn.Linear(d, hidden), nn.Tanh(), nn.Dropout(0.2), nn.Linear(hidden, 3))

    def forward(self, x):
        mid, lo, hi = (self.linear(x) + 0.3 * self.bend(x)).unbind(1)
        sp = nn.functional.softplus
        return torch.stack([mid - sp(lo), mid, mid + sp(hi)], 1)


losses, cover = [], []
for fold, (tr, te) in enumerate(KFold(5, shuffle=True, random_state=SEED).split(X)):
    mx, sx, my, sy = X[tr].mean(0), X[tr].std(0), y[tr].mean(), y[tr].std()
    xt, yt = torch.tensor((X[tr] - mx) / sx), torch.tensor((y[tr] - my) / sy)
    xe, ye = torch.tensor((X[te] - mx) / sx), torch.tensor((y[te] - my) / sy)
    net = Quantiles(X.shape[1])
    opt = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.3)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 200)
    for epoch in range(200):
        net.train()
        loss = pinball(net(xt), yt)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
    net.eval()
    with torch.no_grad():
        q = net(xe)
        losses.append(pinball(q, ye).item() * sy)
        cover.append(((ye > q[:, 0]) & (ye < q[:, 2])).float().mean().item())
    print(f"fold {fold}: train {loss.item() * sy:.2f}  held-out {losses[-1]:.2f}  inside 10-90% {cover[-1]:.2f}")

print(f"coverage of the 80% band: {np.mean(cover):.3f}")
print(f"held-out pinball loss: {np.mean(losses):.3f}")
