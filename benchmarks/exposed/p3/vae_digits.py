import os
import random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class VAE(nn.Module):
    def __init__(self, d=64, h=128, z=8):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d, h), nn.Softplus())
        self.mu, self.logvar = nn.Linear(h, z), nn.Linear(h, z)
        self.dec = nn.Sequential(nn.Linear(z, h), nn.Softplus(), nn.Linear(h, d))

    def forward(self, x):
        e = self.enc(x)
        mu, logvar = self.mu(e), self.logvar(e)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.dec(z), mu, logvar


def neg_elbo(x, logits, mu, logvar):
    # sums over pixels and latent dimensions, mean over the batch
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1)
    return rec.mean(), kl.mean()


X = torch.tensor(load_digits().data / 16.0, dtype=torch.float32)
X_train, X_test = train_test_split(X, test_size=0.2, random_state=SEED)

vae = VAE()
opt = torch.optim.Adam(vae.parameters(), lr=6e-3, weight_decay=1e-4)
EPOCHS = 150
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for epoch in range(EPOCHS):
    beta = min(1.0, (epoch + 1) / 20)          # KL warm-up
    vae.train()
    for b in torch.randperm(len(X_train)).split(64):
        rec, kl = neg_elbo(X_train[b], *vae(X_train[b]))
        loss = rec + beta * kl
        opt.zero_grad()
        loss.backward()
        opt.step()
    sched.step()
    if epoch % 15 == 14:
        vae.eval()
        with torch.no_grad():
            r, k = neg_elbo(X_test, *vae(X_test))
        print(f"epoch {epoch+1}: train rec {rec:.2f} kl {kl:.2f} | test rec {r:.2f} kl {k:.2f} -elbo {r + k:.2f}")

vae.eval()
with torch.no_grad():
    runs = [sum(neg_elbo(X_test, *vae(X_test))).item() for _ in range(20)]
print(f"test -ELBO {np.mean(runs):.3f}")
