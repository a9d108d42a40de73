# Small GAN on an unequal mixture in the plane.  Losses of a GAN say little, so the distance between
# generated and held-out points is printed: sliced Wasserstein, turned into a score where 1 is perfect.
import os, random, copy
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

CENTRES = torch.tensor([[0.0, 1.2], [1.1, 0.3], [0.7, -1.0], [-0.7, -1.0], [-1.1, 0.3]])
WEIGHTS = torch.tensor([0.3, 0.2, 0.2, 0.15, 0.15])
def real(n):
    return CENTRES[torch.multinomial(WEIGHTS, n, replacement=True)] + 0.2 * torch.randn(n, 2)

data, held_out = real(8000), real(4000)

def sliced_score(fake):
    th = torch.linspace(0, np.pi, 33)[:-1]
    dirs = torch.stack([th.cos(), th.sin()])
    a, b = (fake @ dirs).sort(0).values, (held_out @ dirs).sort(0).values
    return 1 - ((a - b) ** 2).mean().item() / (b - b.mean(0)).pow(2).mean().item()

H, Z = 64, 4
def mlp(i, o):
    return nn.Sequential(nn.Linear(i, H), nn.LeakyReLU(0.2), nn.Linear(H, H), nn.LeakyReLU(0.2), nn.Linear(H, o))
G, D = mlp(Z, 2), mlp(2, 1)
G_avg = copy.deepcopy(G).requires_grad_(False)
LR, STEPS, BS, R1 = 1e-3, 900, 256, 0.3
og = torch.optim.Adam(G.parameters(), lr=LR, betas=(0.0, 0.99))
od = torch.optim.Adam(D.parameters(), lr=2 * LR, betas=(0.0, 0.99))

for step in range(1, STEPS + 1):
    # the critic's turn, with a gradient penalty on real points
    x = data[torch.randint(len(data), (BS,))].requires_grad_()
    with torch.no_grad():
        fake = G(torch.randn(BS, Z))
    dx = D(x)
    gp = torch.autograd.grad(dx.sum(), x, create_graph=True)[0].pow(2).sum(1).mean()
    d_loss = F.softplus(-dx).mean() + F.softplus(D(fake)).mean() + R1 / 2 * gp
    od.zero_grad(); d_loss.backward(); od.step()
    # the forger's turn
    g_loss = F.softplus(-D(G(torch.randn(BS, Z)))).mean()
    og.zero_grad(); g_loss.backward(); og.step()
    with torch.no_grad():
        for p, q in zip(G_avg.parameters(), G.parameters()):
            p.lerp_(q, 0.02)
    if step % 100 == 0:
        print(f"{step:5d}  d {d_loss.item():.3f}  g {g_loss.item():.3f}  score {sliced_score(G_avg(torch.randn(4000, Z))):.4f}")
print("two real samples against each other: %.5f" % sliced_score(real(4000)))
print("final score %.4f" % sliced_score(G_avg(torch.randn(4000, Z))))
