import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

digits = load_digits()
Xtr, Xte, ytr, yte = train_test_split(digits.images / 16., digits.target, test_size=0.3,
                                      stratify=digits.target, random_state=SEED)
Xtr = torch.tensor(Xtr, dtype=torch.float32).unsqueeze(1)
Xte = torch.tensor(Xte, dtype=torch.float32).unsqueeze(1)
ytr, yte = torch.tensor(ytr), torch.tensor(yte)


class Embedder(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Linear(32 * 16, dim)

    def forward(self, x):
        return F.normalize(self.fc(self.conv(x).flatten(1)), dim=1)


def angular_contrastive(z, labels, margin=1.2):
    """Pull same-class angles to zero, push the others beyond the margin (radians)."""
    cos = (z @ z.t()).clamp(-1.0, 1.0)
    theta = torch.acos(cos)
    same = labels[:, None] == labels[None, :]
    eye = torch.eye(len(z), dtype=torch.bool)
    pos = theta.masked_fill(~same | eye, 0.0)
    neg = F.relu(margin - theta).masked_fill(same, 0.0)
    return (pos ** 2).sum() / (same & ~eye).sum() + (neg ** 2).sum() / (~same).sum()


def knn_accuracy(net):
    net.eval()
    with torch.no_grad():
        ref, qry = net(Xtr), net(Xte)
        nearest = (qry @ ref.t()).argmax(1)
    return (ytr[nearest] == yte).float().mean().item()


net = Embedder()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(1, 13):
    net.train()
    perm = torch.randperm(len(Xtr))
    for k in range(0, len(perm) - 63, 64):
        idx = perm[k:k + 64]
        loss = angular_contrastive(net(Xtr[idx]), ytr[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 3 == 0:
        print(epoch, "loss", loss.item(), "1-nn acc", knn_accuracy(net))
print("test 1-nn accuracy: %.4f" % knn_accuracy(net))
