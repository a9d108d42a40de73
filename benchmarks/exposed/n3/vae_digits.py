import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

imgs = (load_digits().data / 16.0).astype(np.float32)
x_train, x_test = train_test_split(imgs, test_size=0.2, random_state=SEED)
x_train, x_test = torch.tensor(x_train), torch.tensor(x_test)


class VAE(nn.Module):
    def __init__(self, zdim=8, hidden=128):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, hidden), nn.ELU(), nn.Linear(hidden, 2 * zdim))
        self.dec = nn.Sequential(nn.Linear(zdim, hidden), nn.ELU(), nn.Linear(hidden, 64))

    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.dec(z), mu, logvar


def elbo_terms(x, logits, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return rec, kl


def train(model, opt, beta):
    model.train()
    R = K = 0.0
    for b in torch.randperm(len(x_train)).split(64):
        logits, mu, logvar = model(x_train[b])
        rec, kl = elbo_terms(x_train[b], logits, mu, logvar)
        loss = rec + beta * kl
        opt.zero_grad()
        loss.backward()
        opt.step()
        R += rec.item()
        K += kl.item()
    return R / len(x_train), K / len(x_train)


@torch.no_grad()
def evaluate(model, repeats=5):
    model.eval()
    tot = 0.0
    for _ in range(repeats):
        rec, kl = elbo_terms(x_test, *model(x_test))
        tot += (rec + kl).item() / len(x_test)
    return tot / repeats


model = VAE()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
epochs = 150
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=1e-2, total_steps=epochs)
for epoch in range(epochs):
    beta = min(1.0, (epoch + 1) / 20)        # KL warm-up
    rec, kl = train(model, opt, beta)
    sched.step()
    if (epoch + 1) % 10 == 0:
        print("epoch %3d  beta %.2f  rec %.2f  kl %.2f" % (epoch + 1, beta, rec, kl))
print("test -ELBO per image %.3f" % evaluate(model))
