import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

"""Variational autoencoder, 8x8 digits, 8 latent numbers."""


def elbo_terms(logits, x, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
    return rec, kl


class VAE(nn.Module):
    def __init__(self, d_in=64, hidden=128, z=8):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d_in, hidden), nn.SiLU())
        self.to_mu = nn.Linear(hidden, z)
        self.to_logvar = nn.Linear(hidden, z)
        self.dec = nn.Sequential(nn.Linear(z, hidden), nn.SiLU(), nn.Linear(hidden, d_in))

    def forward(self, x):
        h = self.enc(x)
        mu, logvar = self.to_mu(h), self.to_logvar(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return self.dec(z), mu, logvar


def reconstruction_r2(model, x, mean):
    model.eval()
    with torch.no_grad():
        out = torch.sigmoid(model(x)[0])
    return (1 - (x - out).pow(2).sum() / (x - mean).pow(2).sum()).item()


if __name__ == "__main__":
    s = int(os.environ.get("SEED", 0))
    random.seed(s); np.random.seed(s); torch.manual_seed(s)
    images = load_digits().data / 16
    perm = np.random.permutation(len(images))
    train = torch.tensor(images[perm[:1400]], dtype=torch.float32)
    test = torch.tensor(images[perm[1400:]], dtype=torch.float32)

    vae = VAE()
    opt = torch.optim.Adam(vae.parameters(), lr=3e-3)
    for epoch in range(100):
        vae.train()
        tot_rec = tot_kl = 0.0
        for xb in train[torch.randperm(1400)].split(100):
            logits, mu, logvar = vae(xb)
            rec, kl = elbo_terms(logits, xb, mu, logvar)
            opt.zero_grad()
            (rec + kl).backward()
            opt.step()
            tot_rec += rec.item() / 14
            tot_kl += kl.item() / 14
        if epoch % 20 == 19:
            print(f"epoch {epoch + 1}: rec {tot_rec:.4f} kl {tot_kl:.4f} test R2 {reconstruction_r2(vae, test, train.mean(0)):.4f}")
