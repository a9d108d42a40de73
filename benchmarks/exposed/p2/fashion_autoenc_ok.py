# Convolutional autoencoder on Fashion-MNIST, 16-dim code
import gzip, os, random
import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class FashionImages(Dataset):
    def __init__(self, split, n, transform=None):
        path = os.path.join(os.environ["DATA"], "fashion-mnist", split + "-images-idx3-ubyte.gz")
        with gzip.open(path, "rb") as fh:
            data = np.frombuffer(fh.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28)
        pick = np.random.RandomState(SEED).choice(len(data), n, replace=False)
        self.data, self.transform = data[pick], transform

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        img = torch.from_numpy(self.data[i].astype("float32") / 255.0).unsqueeze(0)
        return self.transform(img) if self.transform else img


class Normalize:
    def __init__(self, mean, std):
        self.mean, self.std = mean, std

    def __call__(self, t):
        return (t - self.mean) / self.std


class ConvAutoencoder(nn.Module):
    def __init__(self, code=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.ReLU(True),
            nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(True),
            nn.Flatten(), nn.Linear(24 * 7 * 7, code))
        self.decoder = nn.Sequential(
            nn.Linear(code, 24 * 7 * 7), nn.ReLU(True), nn.Unflatten(1, (24, 7, 7)),
            nn.ConvTranspose2d(24, 12, 4, stride=2, padding=1), nn.ReLU(True),
            nn.ConvTranspose2d(12, 1, 4, stride=2, padding=1), nn.Tanh())

    def forward(self, x):
        return self.decoder(self.encoder(x))


transform = Normalize(0.5, 0.5)
train_loader = DataLoader(FashionImages("train", 4000, transform), batch_size=64, shuffle=True)
test_loader = DataLoader(FashionImages("t10k", 1000, transform), batch_size=250)

model = ConvAutoencoder()
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(10):
    model.train()
    running = 0.0
    for img in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(img), img)
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        test = np.mean([criterion(model(img), img).item() for img in test_loader])
    print("epoch [%d/10]  train mse %.4f  test mse %.4f" % (epoch + 1, running / len(train_loader), test))
