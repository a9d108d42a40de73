# Metric learning on the 8x8 digits: batch-hard triplets (Hermans et al. 2017), scored by 5-NN in the embedding
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

digits = load_digits()
X = (digits.images / 16.0).astype(np.float32)[:, None]
Xtr, Xte, ytr, yte = train_test_split(X, digits.target, test_size=0.4, stratify=digits.target, random_state=SEED)
Xtr, Xte, ytr, yte = map(torch.as_tensor, (Xtr, Xte, ytr, yte))


def pk_batches(labels, p=8, k=6, n_batches=30):
    """p classes with k pictures each"""
    by_class = [np.flatnonzero(labels.numpy() == c) for c in range(10)]
    for _ in range(n_batches):
        cls = rng.choice(10, p, replace=False)
        yield np.concatenate([rng.choice(by_class[c], k, replace=False) for c in cls])


def pairwise_dist(e):
    sq = (e * e).sum(1)
    d2 = sq[:, None] - 2 * e @ e.t() + sq[None, :]
    return torch.sqrt(d2.clamp(min=1e-8))


def batch_hard(e, y, margin=0.3):
    d = pairwise_dist(e)
    same = y[:, None] == y[None, :]
    hardest_pos = (d * same.float()).max(1).values
    hardest_neg = (d + 1e3 * same.float()).min(1).values
    return F.relu(hardest_pos - hardest_neg + margin).mean()


class Embed(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                  nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Linear(128, dim)

    def forward(self, x):
        return F.normalize(self.fc(self.conv(x).flatten(1)), dim=1)


@torch.no_grad()
def knn_accuracy(model, k=5):
    model.eval()
    ref, q = model(Xtr), model(Xte)
    near = (q @ ref.t()).topk(k, dim=1).indices
    vote = ytr[near].mode(1).values
    model.train()
    return (vote == yte).float().mean().item()


model = Embed()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(20):
    losses = []
    for idx in pk_batches(ytr):
        loss = batch_hard(model(Xtr[idx]), ytr[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1}  triplet loss {np.mean(losses):.4f}  knn acc {knn_accuracy(model):.4f}")
