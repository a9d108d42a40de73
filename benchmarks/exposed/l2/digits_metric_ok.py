# Metric learning on sklearn digits: contrastive loss over all pairs of a batch,
# evaluated by nearest neighbour in embedding space.
import os, random
import numpy as np
import torch
from torch import nn, optim
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

d = load_digits()
X = (d.images / 16.0).astype(np.float32)[:, None]
Xtr, Xte, ytr, yte = train_test_split(X, d.target, test_size=0.3, stratify=d.target, random_state=SEED)
Xtr, Xte, ytr, yte = map(torch.as_tensor, (Xtr, Xte, ytr, yte))


class EmbeddingNet(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.PReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.PReLU(), nn.MaxPool2d(2),
        )
        self.fc = nn.Sequential(nn.Linear(32 * 2 * 2, 64), nn.PReLU(), nn.Linear(64, dim))

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


def pairwise_distances(e):
    sq = (e.unsqueeze(1) - e.unsqueeze(0)).pow(2).sum(-1)
    return torch.sqrt(sq.clamp(min=1e-12))


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, emb, labels):
        dist = pairwise_distances(emb)
        same = (labels.unsqueeze(1) == labels.unsqueeze(0)).float()
        same = same - torch.eye(len(labels))
        diff = (labels.unsqueeze(1) != labels.unsqueeze(0)).float()
        pos = (same * dist.pow(2)).sum() / same.sum().clamp(min=1)
        neg = (diff * torch.relu(self.margin - dist).pow(2)).sum() / diff.sum()
        return pos + neg


net = EmbeddingNet()
loss_fn = ContrastiveLoss(margin=1.5)
opt = optim.Adam(net.parameters(), lr=1e-3)
batch = 64


def knn_accuracy():
    net.eval()
    with torch.no_grad():
        ref, q = net(Xtr), net(Xte)
        nearest = torch.cdist(q, ref).argmin(1)
    return (ytr[nearest] == yte).float().mean().item()


for epoch in range(1, 31):
    net.train()
    order = torch.randperm(len(Xtr))
    losses = []
    for i in range(0, len(order), batch):
        idx = order[i:i + batch]
        loss = loss_fn(net(Xtr[idx]), ytr[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    if epoch % 3 == 0:
        print("Epoch %d: loss %.4f, 1-NN accuracy %.4f" % (epoch, np.mean(losses), knn_accuracy()))
