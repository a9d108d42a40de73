import os, math
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
modes = torch.tensor([[math.cos(2 * math.pi * k / 8), math.sin(2 * math.pi * k / 8)] for k in range(8)]) * 1.5


def real(n):
    return modes[torch.randint(8, (n,))] + 0.1 * torch.randn(n, 2)


def mlp(i, o, h=128):
    return nn.Sequential(nn.Linear(i, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, o))


Z = 8
G, D = mlp(Z, 2), mlp(2, 1)
opt_g = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.0, 0.9))
opt_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.0, 0.9))
G_avg = mlp(Z, 2)
G_avg.load_state_dict(G.state_dict())
BATCH, STEPS, GP = 128, 1500, 0.05

sched = [torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, 1e-4) for o in (opt_g, opt_d)]
for step in range(1, STEPS + 1):
    # discriminator, with the zero-centred R1 penalty on real points
    xr = real(BATCH).requires_grad_(True)
    xf = G(torch.randn(BATCH, Z)).detach()
    sr, sf = D(xr), D(xf)
    (g,) = torch.autograd.grad(sr.sum(), xr, create_graph=True)
    loss_d = F.softplus(-sr).mean() + F.softplus(sf).mean() + GP * 0.5 * g.pow(2).sum(1).mean()
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()

    # generator, non-saturating
    loss_g = F.softplus(-D(G(torch.randn(BATCH, Z)))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    for s in sched:
        s.step()
    with torch.no_grad():
        for a, p in zip(G_avg.parameters(), G.parameters()):
            a.lerp_(p, 0.005)
    if step % 150 == 0:
        print(f"{step:5d}  D {loss_d.item():.3f}  G {loss_g.item():.3f}")

with torch.no_grad():
    fake, held = G_avg(torch.randn(2000, Z)), real(2000)
    dist, which = torch.cdist(fake, modes).min(1)
    print("modes hit:", len(which[dist < 0.3].unique()), " within 3 sd: %.3f" % (dist < 0.3).float().mean().item())
    energy = 2 * torch.cdist(fake, held).mean() - torch.cdist(fake, fake).mean() - torch.cdist(held, held).mean()
print("energy distance to held-out points: %.5f" % energy.item())
