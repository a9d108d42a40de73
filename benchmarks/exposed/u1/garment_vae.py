# Variational autoencoder for garment pictures (14 x 14)
import gzip, os, random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
SEED = int(os.environ.get("SEED", 0))
for f in (random.seed, np.random.seed, torch.manual_seed):
    f(SEED)


class Cfg:
    n_train = 6000
    n_test = 2000
    latent = 5
    hidden = 160
    batch = 100
    epochs = 40
    lr = 2e-3


def read_images(path):
    raw = gzip.open(path).read()
    return np.frombuffer(raw, dtype=np.uint8, offset=16).reshape(-1, 28, 28)


class VAE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(196, c.hidden), nn.SiLU(), nn.Linear(c.hidden, 96), nn.SiLU())
        self.mu = nn.Linear(96, c.latent)
        self.logvar = nn.Linear(96, c.latent)
        self.dec = nn.Sequential(nn.Linear(c.latent, 96), nn.SiLU(), nn.Linear(96, c.hidden), nn.SiLU(),
                                 nn.Linear(c.hidden, 196))

    def encode(self, x):
        h = self.enc(x)
        return self.mu(h), self.logvar(h)

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.dec(z), mu, logvar

    def losses(self, x):
        logits, mu, logvar = self(x)
        recon = F.binary_cross_entropy_with_logits(logits, x)
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
        return recon, kl


def shrink(x):
    x = x.reshape(-1, 14, 2, 14, 2).mean((2, 4)) / 255
    return torch.from_numpy(x.reshape(-1, 196).astype(np.float32))


root = os.path.join(os.environ["DATA"], "fashion-mnist")
train = read_images(os.path.join(root, "train-images-idx3-ubyte.gz"))
test = read_images(os.path.join(root, "t10k-images-idx3-ubyte.gz"))
train = shrink(train[np.random.choice(len(train), Cfg.n_train, replace=False)])
test = shrink(test[np.random.choice(len(test), Cfg.n_test, replace=False)])

model = VAE(Cfg)
opt = torch.optim.Adam(model.parameters(), lr=Cfg.lr)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=2 * Cfg.lr, epochs=Cfg.epochs,
                                            steps_per_epoch=Cfg.n_train // Cfg.batch)
for epoch in range(Cfg.epochs):
    r_sum = k_sum = 0.0
    for rows in torch.randperm(Cfg.n_train).split(Cfg.batch):
        recon, kl = model.losses(train[rows])
        loss = recon + kl
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        r_sum += recon.item() * len(rows)
        k_sum += kl.item() * len(rows)
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1:02d} | recon {r_sum / Cfg.n_train:.4f} | kl {k_sum / Cfg.n_train:.4f}")

model.eval()
with torch.no_grad():
    mu, _ = model.encode(test)
    rec = torch.sigmoid(model.dec(mu))
    ss_res = ((rec - test) ** 2).sum()
    ss_tot = ((test - train.mean(0)) ** 2).sum()
print(f"test reconstruction R2 {1 - (ss_res / ss_tot).item():.4f}   latent spread {mu.std(0).mean():.3f}")
