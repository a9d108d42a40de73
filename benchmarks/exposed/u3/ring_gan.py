import copy, math, os, random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

MODES, SIGMA, BATCH = 8, 0.2, 128
STEPS = 2000
LR_G, LR_D = 2e-3, 2e-3
H = 64


def real(n):
    k = torch.randint(MODES, (n,))
    ang = 2 * math.pi * k / MODES
    return 2 * torch.stack([ang.cos(), ang.sin()], 1) + SIGMA * torch.randn(n, 2)


class Generator(nn.Module):
    def __init__(self, z=2):
        super().__init__()
        self.z = z
        self.f = nn.Sequential(nn.Linear(MODES + z, H), nn.ReLU(), nn.Linear(H, H), nn.ReLU(), nn.Linear(H, 2))

    def forward(self, n):
        code = nn.functional.one_hot(torch.randint(MODES, (n,)), MODES).float()
        return self.f(torch.cat([code, torch.randn(n, self.z)], 1))


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(2, H), nn.LeakyReLU(.2), nn.Linear(H, H), nn.LeakyReLU(.2), nn.Linear(H, 1))

    def forward(self, x):
        return self.f(x).squeeze(1)


G, D = Generator(), Critic()
G_avg = copy.deepcopy(G).requires_grad_(False)
og = torch.optim.Adam(G.parameters(), lr=LR_G, betas=(0.5, 0.99))
od = torch.optim.Adam(D.parameters(), lr=LR_D, betas=(0.5, 0.99))
decay = [torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1.0, 2 * (1 - t / STEPS))) for o in (og, od)]
sp = nn.functional.softplus


def quality(gen, n=4000):
    with torch.no_grad():
        s = gen(n)
    ang = 2 * math.pi * torch.arange(MODES) / MODES
    d = torch.cdist(s, 2 * torch.stack([ang.cos(), ang.sin()], 1))
    near, which = d.min(1)
    ok = near < 3 * SIGMA
    share = torch.bincount(which[ok], minlength=MODES).float() / n
    return ok.float().mean().item(), int((share > .25 / MODES).sum()), share


for t in range(STEPS):
    # discriminator, with the R1 penalty of Mescheder et al. on real points
    x = real(BATCH).requires_grad_()
    with torch.no_grad():
        fake = G(BATCH)
    dr = D(x)
    g, = torch.autograd.grad(dr.sum(), x, create_graph=True)
    loss_d = sp(-dr).mean() + sp(D(fake)).mean() + 0.01 * g.square().sum(1).mean()
    od.zero_grad(); loss_d.backward(); od.step()

    loss_g = sp(-D(G(BATCH))).mean()
    og.zero_grad(); loss_g.backward(); og.step()
    for s in decay:
        s.step()

    with torch.no_grad():
        for a, p in zip(G_avg.parameters(), G.parameters()):
            a.lerp_(p, 0.01)
    if (t + 1) % 200 == 0:
        q, m, _ = quality(G_avg)
        print(f"{t + 1:5d}  D {loss_d.item():.3f}  G {loss_g.item():.3f}  on-mode {q:.3f}  modes {m}/{MODES}")

q, m, share = quality(G_avg, 20000)
tv = 0.5 * (share / share.sum() - 1 / MODES).abs().sum().item()
print(f"final: modes {m}, mode imbalance (TV) {tv:.3f}, share of samples within 3 sigma {q:.4f}  (real data: 0.989)")
