import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def real_batch(n):
    """two curved variables, as in the usual banana toy density"""
    x = torch.randn(n)
    return torch.stack([x, 0.5 * x ** 2 - 0.5 + 0.3 * torch.randn(n)], 1)


class Generator(nn.Module):
    def __init__(self, nz=8, h=64):
        super().__init__()
        self.nz = nz
        self.main = nn.Sequential(nn.Linear(nz, h), nn.LeakyReLU(0.2), nn.Linear(h, h), nn.LeakyReLU(0.2), nn.Linear(h, 2))

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self, h=64):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(2, h), nn.LeakyReLU(0.2), nn.Linear(h, h), nn.LeakyReLU(0.2), nn.Linear(h, 1))

    def forward(self, x):
        return self.main(x).view(-1)


netG, netD = Generator(), Discriminator()
criterion = nn.BCEWithLogitsLoss()
lr, batch, niter = 1e-3, 128, 1500
optD = torch.optim.Adam(netD.parameters(), lr=lr, betas=(0.5, 0.999))
optG = torch.optim.Adam(netG.parameters(), lr=lr, betas=(0.5, 0.999))
schedD = torch.optim.lr_scheduler.LinearLR(optD, 1.0, 0.05, niter)
schedG = torch.optim.lr_scheduler.LinearLR(optG, 1.0, 0.05, niter)
ema = {k: v.clone() for k, v in netG.state_dict().items()}

for i in range(niter):
    # update D: maximize log(D(x)) + log(1 - D(G(z))), with an R1 penalty on real data
    x = real_batch(batch).requires_grad_(True)
    fake = netG(torch.randn(batch, netG.nz))
    out_real = netD(x)
    g, = torch.autograd.grad(out_real.sum(), x, create_graph=True)
    r1 = g.pow(2).sum(1).mean()
    errD = criterion(out_real, torch.ones(batch)) + criterion(netD(fake.detach()), torch.zeros(batch)) + 0.05 * r1
    optD.zero_grad()
    errD.backward()
    optD.step()

    # update G: maximize log(D(G(z)))
    errG = criterion(netD(fake), torch.ones(batch))
    optG.zero_grad()
    errG.backward()
    optG.step()
    schedD.step()
    schedG.step()
    with torch.no_grad():
        for k, v in netG.state_dict().items():
            ema[k].lerp_(v, 0.01)
    if i % 500 == 0:
        print(f"[{i}/{niter}] Loss_D: {errD.item():.4f} Loss_G: {errG.item():.4f} R1: {r1.item():.3f}")

netG.load_state_dict(ema)
with torch.no_grad():
    s = netG(torch.randn(4000, netG.nz))
    r = real_batch(4000)
    energy = 2 * torch.cdist(s, r).mean() - torch.cdist(s, s).mean() - torch.cdist(r, real_batch(4000)).mean()
print("real mean", r.mean(0).numpy().round(2), "std", r.std(0).numpy().round(2))
print("fake mean", s.mean(0).numpy().round(2), "std", s.std(0).numpy().round(2))
print("energy distance %.5f" % energy.item())
