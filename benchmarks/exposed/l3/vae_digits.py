from __future__ import print_function
import os
import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

# adapted from pytorch/examples/vae to the 8x8 digits
seed = int(os.environ.get("SEED", 0))
torch.manual_seed(seed)

X = load_digits().data.astype("float32") / 16.0
train, test = train_test_split(X, test_size=0.25, random_state=seed)
train_loader = torch.utils.data.DataLoader(torch.from_numpy(train), batch_size=64, shuffle=True)
test_loader = torch.utils.data.DataLoader(torch.from_numpy(test), batch_size=256)


class VAE(nn.Module):
    def __init__(self, z_dim=8, h_dim=200):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(64, h_dim)
        self.fc21 = nn.Linear(h_dim, z_dim)
        self.fc22 = nn.Linear(h_dim, z_dim)
        self.fc3 = nn.Linear(z_dim, h_dim)
        self.fc4 = nn.Linear(h_dim, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        return mu + torch.randn_like(std) * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


model = VAE()
optimizer = optim.Adam(model.parameters(), lr=2e-3)


# reconstruction + KL divergence summed over all elements and batch
def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x, reduction='sum')
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


def train_epoch(epoch):
    model.train()
    train_loss = 0
    for data in train_loader:
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    return train_loss / len(train_loader.dataset)


def test_epoch():
    model.eval()
    test_loss = 0
    with torch.no_grad():
        for data in test_loader:
            recon_batch, mu, logvar = model(data)
            test_loss += loss_function(recon_batch, data, mu, logvar).item()
    return test_loss / len(test_loader.dataset)


EPOCHS = 150
for epoch in range(1, EPOCHS + 1):
    tl = train_epoch(epoch)
    if epoch % 15 == 0:
        print('====> Epoch: {} Average loss: {:.4f}'.format(epoch, tl))
print('====> Test set loss: {:.4f}'.format(sum(test_epoch() for _ in range(5)) / 5))
