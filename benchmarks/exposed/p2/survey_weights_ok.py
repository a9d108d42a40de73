"""Regress a galaxy's redshift on its colours; every spectrum has its own quoted error,
so the squared residuals are weighted by inverse variance."""
import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def catalogue(n, rng, noisy=True):
    z = rng.gamma(3.0, 0.25, size=n)
    kind = rng.normal(size=n)
    mags = np.stack([np.sin(1.3 * z + 0.5 * k) + 0.35 * k * kind + 0.3 * z * (k - 2) for k in range(6)], 1)
    mags += 0.04 * rng.normal(size=mags.shape)
    err = np.where(rng.random(n) < 0.3, 0.03, rng.uniform(0.8, 2.0, n))
    # low-quality spectra: line misidentified, mostly to the red
    zs = z + np.abs(rng.normal(size=n)) * err if noisy else z
    return [torch.tensor(v, dtype=torch.float32) for v in (mags, zs, err)]


rng = np.random.default_rng(SEED)
mags, zspec, err = catalogue(3000, rng)
mags_te, z_te, _ = catalogue(1500, rng, noisy=False)

mean, std = mags.mean(0), mags.std(0)
weight = 1.0 / err ** 2
weight = weight / weight.mean()
loader = DataLoader(TensorDataset((mags - mean) / std, zspec.unsqueeze(1), weight), batch_size=100, shuffle=True)

model = torch.nn.Sequential(
    torch.nn.Linear(6, 64), torch.nn.GELU(),
    torch.nn.Linear(64, 64), torch.nn.GELU(),
    torch.nn.Linear(64, 1),
)
opt = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=25)


def weighted_mse(pred, target, w):
    se = F.mse_loss(pred, target, reduction="none")
    return (w.unsqueeze(1) * se).mean()


for epoch in range(25):
    model.train()
    total = 0.0
    for x, y, w in loader:
        loss = weighted_mse(model(x), y, w)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    sched.step()
    if epoch % 5 == 4:
        model.eval()
        with torch.no_grad():
            res = model((mags_te - mean) / std).squeeze(1) - z_te
        r2 = 1 - res.pow(2).mean() / z_te.var()
        print(f"epoch {epoch + 1}: weighted loss {total / len(loader):.4f}  clean-sample RMSE {res.pow(2).mean().sqrt():.4f}  R2 {r2:.4f}")
