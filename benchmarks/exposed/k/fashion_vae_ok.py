import gzip, os
import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED); np.random.seed(SEED)


def images(kind, n):
    path = os.path.join(os.environ["DATA"], "fashion-mnist", kind + "-images-idx3-ubyte.gz")
    with gzip.open(path) as f:
        return torch.tensor(np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(n, 784) / 255.0,
                            dtype=torch.float32)


class VAE(nn.Module):
    def __init__(self, z=12):
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc21 = nn.Linear(256, z)
        self.fc22 = nn.Linear(256, z)
        self.fc3 = nn.Linear(z, 256)
        self.fc4 = nn.Linear(256, 784)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x, reduction="sum") / len(x)
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
    return BCE + KLD


train, test = images("train", 5000), images("t10k", 1500)
model = VAE()
optimizer = optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(1, 11):
    model.train()
    total = 0
    for batch in train[torch.randperm(len(train))].split(100):
        optimizer.zero_grad()
        recon, mu, logvar = model(batch)
        loss = loss_function(recon, batch, mu, logvar)
        loss.backward()
        total += loss.item()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        mu, _ = model.encode(test)
        mse = F.mse_loss(model.decode(mu), test).item()
    print("====> Epoch: {} Average loss: {:.4f}  test reconstruction mse: {:.5f}".format(epoch, total / 50, mse))
