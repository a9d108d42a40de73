"""Rare machine failures (about 5 %), balanced by a weighted sampler."""
import os
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader, WeightedRandomSampler
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, balanced_accuracy_score

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = make_classification(12000, n_features=16, n_informative=7, n_redundant=3, n_clusters_per_class=2,
                           weights=[0.95], class_sep=1.1, flip_y=0.01, random_state=SEED)
order = rng.permutation(len(y))
train, valid, test = order[:7000], order[7000:8500], order[8500:]
X = (X - X[train].mean(0)) / X[train].std(0)
X, Y = torch.tensor(X).float(), torch.tensor(y).long()

counts = np.bincount(y[train])
weights = torch.tensor(1.0 / counts[y[train]])
sampler = WeightedRandomSampler(weights, num_samples=len(train), replacement=True)
loader = DataLoader(TensorDataset(X[train], Y[train]), batch_size=128, sampler=sampler)


class Detector(nn.Module):
    def __init__(self, d, width=64, p=0.2):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(p),
                                  nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(p))
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.body(x))


net = Detector(16)
epochs = 25
opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)


def scores(idx):
    net.eval()
    with torch.no_grad():
        p = net(X[idx]).softmax(1)[:, 1].numpy()
    return balanced_accuracy_score(y[idx], p > 0.5), average_precision_score(y[idx], p)


for epoch in range(1, epochs + 1):
    net.train()
    total = 0.0
    for xb, yb in loader:
        loss = nn.functional.cross_entropy(net(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    sched.step()
    if epoch % 5 == 0:
        b, a = scores(valid)
        print(f"epoch {epoch} loss {total / len(loader):.4f} valid bal.acc {b:.3f} AP {a:.3f}")
b, a = scores(test)
print("test: average precision %.4f balanced accuracy %.4f" % (a, b))
