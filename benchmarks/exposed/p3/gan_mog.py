# Tiny GAN on a 2-D mixture (six points on a circle), non-saturating loss
import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

K, RADIUS, STD = 6, 1.0, 0.08
angles = torch.arange(K) * 2 * np.pi / K
centres = RADIUS * torch.stack([angles.cos(), angles.sin()], 1)


def real_batch(n):
    return centres[torch.randint(K, (n,))] + STD * torch.randn(n, 2)


Z = 4
G = nn.Sequential(nn.Linear(Z, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
D = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.99))
opt_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.99))
G_avg = torch.optim.swa_utils.AveragedModel(G, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))

STEPS, BATCH, GP = 4000, 128, 0.02
for step in range(1, STEPS + 1):
    x = real_batch(BATCH).requires_grad_(True)
    with torch.no_grad():
        fake = G(torch.randn(BATCH, Z))
    d_real, d_fake = D(x), D(fake)
    grad, = torch.autograd.grad(d_real.sum(), x, create_graph=True)
    loss_d = F.softplus(-d_real).mean() + F.softplus(d_fake).mean() + GP * grad.pow(2).sum(1).mean()   # R1
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()

    loss_g = F.softplus(-D(G(torch.randn(BATCH, Z)))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    G_avg.update_parameters(G)

    if step % 300 == 0:
        print(f"{step:5d}  D {loss_d.item():.3f}  G {loss_g.item():.3f}")


def energy_distance(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


with torch.no_grad():
    sample = G_avg(torch.randn(2000, Z))
    dist, near = torch.cdist(sample, centres).min(1)
    good = dist < 4 * STD
    modes = len(near[good].unique())
    ed = energy_distance(sample, real_batch(2000))
    floor = energy_distance(real_batch(2000), real_batch(2000))
print(f"modes {modes}/{K}  close to a mode {good.float().mean():.3f}  energy distance {ed:.4f} (two real samples {floor:.4f})")
