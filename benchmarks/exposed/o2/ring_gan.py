import math
import os
import random

import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


def sample_real(n):
    # half ring with a bit of jitter
    a = torch.rand(n) * math.pi
    r = 2.0 + 0.1 * torch.randn(n)
    return torch.stack([r * torch.cos(a), r * torch.sin(a)], dim=1)


def mlp(i, o, h=64, act=nn.ReLU):
    return nn.Sequential(nn.Linear(i, h), act(), nn.Linear(h, h), act(), nn.Linear(h, o))


def energy_distance(a, b):
    return (2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


Z = 4
netG = mlp(Z, 2)
netD = mlp(2, 1, act=lambda: nn.LeakyReLU(0.2))
optG = torch.optim.Adam(netG.parameters(), lr=5e-4, betas=(0.5, 0.999))
optD = torch.optim.Adam(netD.parameters(), lr=5e-4, betas=(0.5, 0.999))
bce = nn.BCEWithLogitsLoss()
B = 128
ones, zeros = torch.ones(B, 1), torch.zeros(B, 1)

for step in range(1, 2501):
    # discriminator
    real = sample_real(B)
    fake = netG(torch.randn(B, Z)).detach()
    optD.zero_grad()
    lossD = bce(netD(real), ones) + bce(netD(fake), zeros)
    lossD.backward()
    optD.step()

    # generator
    optG.zero_grad()
    lossG = bce(netD(fake), ones)
    lossG.backward()
    optG.step()

    if step % 250 == 0:
        with torch.no_grad():
            ed = energy_distance(netG(torch.randn(500, Z)), sample_real(500))
        print(f"step {step} lossD {lossD.item():.3f} lossG {lossG.item():.3f} energy distance {ed:.4f}")

with torch.no_grad():
    print("final energy distance %.4f" % energy_distance(netG(torch.randn(2000, Z)), sample_real(2000)))
