"""
Stage 1: denoising autoencoder on unlabelled images.
Stage 2: take its encoder, put a classifier on top and train on the labelled part.
"""
import gzip, os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
folder = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(split, n):
    with gzip.open(f"{folder}/{split}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + 784 * n), np.uint8, offset=16).reshape(n, 784)
    with gzip.open(f"{folder}/{split}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    return torch.tensor(x / 255.0, dtype=torch.float32), torch.tensor(y, dtype=torch.long)


class Encoder(nn.Module):
    def __init__(self, code=12):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, code))

    def forward(self, x):
        return self.net(x)


class Decoder(nn.Module):
    def __init__(self, code=12):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(code, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 784))

    def forward(self, z):
        return torch.sigmoid(self.net(z))


class Classifier(nn.Module):
    def __init__(self, encoder, code=12, n_classes=10):
        super().__init__()
        self.encoder = encoder
        self.norm = nn.LayerNorm(code)
        self.head = nn.Linear(code, n_classes)

    def forward(self, x):
        with torch.no_grad():
            z = self.encoder(x)
        return self.head(self.norm(z))


def batches(n, size):
    return torch.randperm(n).split(size)


def pretrain(x, epochs=6):
    enc, dec = Encoder(), Decoder()
    opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=1e-3)
    for ep in range(epochs):
        tot = 0.0
        for b in batches(len(x), 64):
            noisy = x[b] + 0.1 * torch.randn_like(x[b])
            loss = F.mse_loss(dec(enc(noisy)), x[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
            tot += loss.item() * len(b)
        print(f"pretrain {ep}: mse {tot / len(x):.4f}")
    return enc


def finetune(enc, x, y, x_val, y_val, epochs=12):
    model = Classifier(enc)
    # smaller rate for the pretrained part
    opt = torch.optim.Adam([{"params": model.encoder.parameters(), "lr": 5e-4},
                            {"params": [*model.norm.parameters(), *model.head.parameters()], "lr": 3e-3}])
    for ep in range(epochs):
        model.train()
        for b in batches(len(x), 64):
            loss = F.cross_entropy(model(x[b]), y[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            tr = (model(x).argmax(1) == y).float().mean().item()
            va = (model(x_val).argmax(1) == y_val).float().mean().item()
        print(f"finetune {ep}: loss {loss.item():.3f} train acc {tr:.3f} val acc {va:.3f}")
    return model


x_all, y_all = load("train", 6000)
x_val, y_val = load("t10k", 2000)
encoder = pretrain(x_all)
finetune(encoder, x_all[:4000], y_all[:4000], x_val, y_val)
