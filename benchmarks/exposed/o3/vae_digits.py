import os
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

data = torch.tensor(load_digits().data / 16.0, dtype=torch.float32)
data = data[torch.randperm(len(data))]
train, test = data[:1450], data[1450:]

LATENT = 10


class VAE(nn.Module):
    def __init__(self, h=200):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU())
        self.to_mu = nn.Linear(h, LATENT)
        self.to_logvar = nn.Linear(h, LATENT)
        self.dec = nn.Sequential(nn.Linear(LATENT, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 64))

    def forward(self, x):
        e = self.enc(x)
        mu, logvar = self.to_mu(e), self.to_logvar(e)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.dec(z), mu, logvar


def elbo_terms(x):
    out, mu, logvar = vae(x)
    rec = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1)
    kl = 0.5 * (mu ** 2 + logvar.exp() - 1 - logvar).sum(1)
    return rec, kl


vae = VAE()
EPOCHS = 80
optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
for epoch in range(EPOCHS):
    beta = min(1.0, (epoch + 1) / 15)            # KL warm-up
    shuffled = train[torch.randperm(len(train))]
    rs = ks = 0.0
    for x in shuffled.split(50):
        x = (x + 0.02 * torch.randn_like(x)).clamp(0, 1)
        rec, kl = elbo_terms(x)
        loss = (rec + beta * kl).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rs += rec.sum().item(); ks += kl.sum().item()
    scheduler.step()
    if (epoch + 1) % 10 == 0:
        print("epoch %d  reconstruction %.2f  KL %.2f  beta %.2f" % (epoch + 1, rs / len(train), ks / len(train), beta))
with torch.no_grad():
    ls = torch.stack([sum(elbo_terms(test)) for _ in range(20)])
print("pixel-mean baseline: %.2f" % F.binary_cross_entropy(train.mean(0).clamp(1e-4, 1 - 1e-4).expand_as(test), test, reduction="none").sum(1).mean())
print("test negative ELBO: %.3f" % ls.mean())
