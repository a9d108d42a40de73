import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

X = torch.tensor(load_digits().data, dtype=torch.float32) / 16
perm = torch.randperm(len(X))
x_train, x_test = X[perm[:1400]], X[perm[1400:]]


class VAE(nn.Module):
    def __init__(self, d=64, h=160, z=8):
        super().__init__()
        self.fc1 = nn.Linear(d, h)
        self.fc21, self.fc22 = nn.Linear(h, z), nn.Linear(h, z)
        self.fc3, self.fc4 = nn.Linear(z, h), nn.Linear(h, d)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(logits, x, mu, logvar, beta=1.0):
    # summed over pixels, averaged over pictures
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (bce + beta * kld) / len(x)


model = VAE()
epochs = 100
optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)

for epoch in range(1, epochs + 1):
    model.train()
    beta = min(1.0, epoch / 20)          # KL warm-up
    total = 0
    for idx in torch.randperm(len(x_train)).split(64):
        x = x_train[idx]
        optimizer.zero_grad()
        recon, mu, logvar = model(x)
        loss = loss_function(recon, x, mu, logvar, beta)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    sched.step()
    if epoch % 10 == 0:
        print("====> Epoch: {} Average loss: {:.3f} (beta {:.2f})".format(epoch, total / len(x_train), beta))

model.eval()
with torch.no_grad():
    vals = []
    for _ in range(20):
        recon, mu, logvar = model(x_test)
        vals.append(loss_function(recon, x_test, mu, logvar).item())
print("====> Test set loss: {:.4f}".format(np.mean(vals)))
