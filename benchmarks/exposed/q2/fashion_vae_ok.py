"""Small VAE on Fashion-MNIST (6k images), adapted from the pytorch examples repo."""
import gzip, os, random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


def load_images(name, n):
    with gzip.open(os.path.join(os.environ["DATA"], "fashion-mnist", name)) as f:
        raw = np.frombuffer(f.read(16 + n * 784), dtype=np.uint8, offset=16)
    return torch.from_numpy(raw.reshape(n, 784).astype(np.float32) / 255.0)


class VAE(nn.Module):
    def __init__(self, hidden=256, latent=16):
        super().__init__()
        self.enc = nn.Linear(784, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.dec1 = nn.Linear(latent, hidden)
        self.dec2 = nn.Linear(hidden, 784)

    def encode(self, x):
        h = F.relu(self.enc(x))
        return self.mu(h), self.logvar(h)

    def decode(self, z):
        return torch.sigmoid(self.dec2(F.relu(self.dec1(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decode(z), mu, logvar


def loss_function(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="sum") / len(x)
    # see Appendix B of Kingma and Welling, 2014
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1).mean()
    return bce + kld, bce, kld


x_train = load_images("train-images-idx3-ubyte.gz", 6000)
x_test = load_images("t10k-images-idx3-ubyte.gz", 2000)

model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(1, 11):
    model.train()
    order = torch.randperm(len(x_train))
    tot = 0.0
    for idx in order.split(128):
        xb = x_train[idx]
        optimizer.zero_grad()
        recon, mu, logvar = model(xb)
        loss, bce, kld = loss_function(recon, xb, mu, logvar)
        loss.backward()
        optimizer.step()
        tot += loss.item() * len(xb)
    model.eval()
    with torch.no_grad():
        mu, _ = model.encode(x_test)
        rec_mse = F.mse_loss(model.decode(mu), x_test).item()
    print(f"epoch {epoch:2d}  train loss {tot / len(x_train):.4f}  test rec mse {rec_mse:.4f}")
print(f"final test reconstruction mse: {rec_mse:.4f}")
