import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


class Encoder(nn.Module):
    def __init__(self, d, h, z):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d, h), nn.ReLU())
        self.mu, self.logvar = nn.Linear(h, z), nn.Linear(h, z)

    def forward(self, x):
        h = self.net(x)
        return self.mu(h), self.logvar(h)


class VAE(nn.Module):
    def __init__(self, d=64, h=128, z=10):
        super().__init__()
        self.enc = Encoder(d, h, z)
        self.dec = nn.Sequential(nn.Linear(z, h), nn.ReLU(), nn.Linear(h, d))

    def forward(self, x):
        mu, logvar = self.enc(x)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.dec(z), mu, logvar

    def reconstruct(self, x):
        return self.dec(self.enc(x)[0])


SIGMA2 = 0.05      # pixel noise of the decoder


def elbo_loss(x, xhat, mu, logvar):
    rec = ((xhat - x) ** 2).mean() / (2 * SIGMA2)
    kl = -0.5 * torch.sum(1 + logvar - mu ** 2 - logvar.exp(), dim=1).mean()
    return rec + kl, rec, kl


pix = torch.tensor(load_digits().data, dtype=torch.float32) / 16
order = torch.randperm(len(pix))
test, train = pix[order[:400]], pix[order[400:]]
mean_img = train.mean(0)

vae = VAE()
opt = torch.optim.Adam(vae.parameters(), lr=6e-3)
EPOCHS = 120
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for epoch in range(EPOCHS):
    agg = np.zeros(3)
    batches = train[torch.randperm(len(train))].split(64)
    for xb in batches:
        loss, rec, kl = elbo_loss(xb, *vae(xb))
        opt.zero_grad()
        loss.backward()
        opt.step()
        agg += [loss.item(), rec.item(), kl.item()]
    sched.step()
    if (epoch + 1) % 20 == 0:
        with torch.no_grad():
            sse = ((vae.reconstruct(test) - test) ** 2).sum().item()
        r2 = 1 - sse / ((test - mean_img) ** 2).sum().item()
        l, r, k = agg / len(batches)
        print(f"epoch {epoch + 1}: loss {l:.3f} (rec {r:.3f}, kl {k:.3f}), test reconstruction R2 {r2:.4f}")
