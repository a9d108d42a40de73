"""A small GAN that learns a ring of five Gaussians."""
import os, math
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def real(n):
    k = torch.randint(0, 5, (n,)).float() * 2 * math.pi / 5
    return torch.stack([k.cos(), k.sin()], 1) * 1.5 + 0.15 * torch.randn(n, 2)


Z = 4
G = nn.Sequential(nn.Linear(Z, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
D = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
STEPS, BATCH = 3500, 128
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.99))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.99))
sch = [torch.optim.lr_scheduler.LambdaLR(o, lambda s: min(1.0, 2 - 2 * s / STEPS)) for o in (opt_g, opt_d)]
averaged = torch.optim.swa_utils.AveragedModel(G, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
bce = nn.BCEWithLogitsLoss()
ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)


def energy_distance(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


for step in range(STEPS):
    # discriminator, with a gradient penalty on the real points (R1)
    x = real(BATCH).requires_grad_(True)
    fake = G(torch.randn(BATCH, Z)).detach()
    dx = D(x)
    grad, = torch.autograd.grad(dx.sum(), x, create_graph=True)
    loss_d = bce(dx, ones) + bce(D(fake), zeros) + 0.05 * grad.pow(2).sum(1).mean()
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()
    # generator, non-saturating loss
    loss_g = bce(D(G(torch.randn(BATCH, Z))), ones)
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    averaged.update_parameters(G)
    for s in sch:
        s.step()
    if step % 500 == 0:
        with torch.no_grad():
            e = energy_distance(averaged(torch.randn(1000, Z)), real(1000))
        print(f"{step:5d}  D {loss_d.item():.3f}  G {loss_g.item():.3f}  energy distance {e:.4f}")

with torch.no_grad():
    sample = averaged(torch.randn(4000, Z))
print(f"final energy distance {energy_distance(sample, real(4000)):.5f}")
