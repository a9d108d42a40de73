# Simplest possible autoencoder, ported from the Keras blog post to PyTorch.
import gzip, os, random
import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def load(name, n):
    with gzip.open(os.path.join(os.environ["DATA"], "fashion-mnist", name)) as f:
        raw = np.frombuffer(f.read(), np.uint8, offset=16)
    x = raw.reshape(-1, 784)[:n].astype("float32") / 255.0
    return torch.from_numpy(x)


x_train = load("train-images-idx3-ubyte.gz", 8000)
x_test = load("t10k-images-idx3-ubyte.gz", 2000)
print(x_train.shape, x_test.shape)

encoding_dim = 32  # 24.5x compression


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, encoding_dim), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(encoding_dim, 784), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


autoencoder = Autoencoder()
optimizer = optim.Adadelta(autoencoder.parameters(), lr=1.0)
criterion = nn.BCELoss()
loader = DataLoader(TensorDataset(x_train), batch_size=64, shuffle=True)

for epoch in range(12):
    running = 0.0
    for (batch,) in loader:
        recon = autoencoder(batch)
        loss = criterion(recon, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item() * len(batch)
    with torch.no_grad():
        val = criterion(autoencoder(x_test), x_test).item()
    print(f"Epoch {epoch + 1}/12 - loss: {running / len(x_train):.4f} - val_loss: {val:.4f}")

with torch.no_grad():
    decoded = autoencoder(x_test)
    r2 = 1 - ((decoded - x_test) ** 2).sum() / ((x_test - x_train.mean(0)) ** 2).sum()
print(f"explained variance of the reconstructions: {r2.item():.4f}")
