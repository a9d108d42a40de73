"""Siamese network on the 8x8 digits, judged by 1-NN retrieval on the embeddings."""
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class PairDataset(Dataset):
    def __init__(self, images, targets, pairs=4000):
        self.images = images
        self.targets = targets
        self.by_class = {c: np.where(targets == c)[0] for c in np.unique(targets)}
        self.pairs = pairs

    def __len__(self):
        return self.pairs

    def __getitem__(self, _):
        i = random.randrange(len(self.targets))
        c = self.targets[i]
        if random.random() < 0.5:
            j = random.choice(self.by_class[c])
            label = 1.0
        else:
            other = random.choice([k for k in self.by_class if k != c])
            j = random.choice(self.by_class[other])
            label = 0.0
        return self.images[i], self.images[j], torch.tensor(label)


class ContrastiveLoss(nn.Module):
    """Hadsell et al. 2006"""

    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, label):
        dist = F.pairwise_distance(a, b)
        return torch.mean(label * dist.pow(2)
                          + (1 - label) * torch.clamp(self.margin - dist, min=0.0).pow(2))


class Encoder(nn.Module):
    def __init__(self, dim=4):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, dim))

    def forward(self, x):
        return self.net(x)


digits = load_digits()
order = np.random.permutation(len(digits.target))
X = torch.tensor(digits.data[order] / 16.0, dtype=torch.float32)
y = digits.target[order]
n = 1200
loader = DataLoader(PairDataset(X[:n], y[:n]), batch_size=64)

enc = Encoder()
criterion = ContrastiveLoss(margin=1.0)
optimizer = torch.optim.Adam(enc.parameters(), lr=1e-3)

for epoch in range(1, 26):
    losses = []
    for a, b, label in loader:
        optimizer.zero_grad()
        loss = criterion(enc(a), enc(b), label)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if epoch % 5 == 0:
        print(f"epoch {epoch}: contrastive loss {np.mean(losses):.4f}")

with torch.no_grad():
    e = enc(X).numpy()
knn = KNeighborsClassifier(1).fit(e[:n], y[:n])
print(f"final 1-NN accuracy {knn.score(e[n:], y[n:]):.4f}")
