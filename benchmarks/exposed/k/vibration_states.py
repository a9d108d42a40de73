import os
import random

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score, f1_score
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

JITTER = 1.5

# 24 band-energy features of a bearing test rig, 6 machine states
X, y = make_classification(n_samples=6000, n_features=24, n_informative=10, n_redundant=6, n_classes=6,
                           n_clusters_per_class=3, class_sep=1.3, flip_y=0.01, random_state=SEED)
X = (X - X[:4500].mean(0)) / X[:4500].std(0)


class BandDataset(Dataset):
    def __init__(self, x, y, train):
        self.x = torch.tensor(x, dtype=torch.float32)
        self.y = torch.tensor(y, dtype=torch.long)
        self.train = train

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = self.x[i]
        if self.train:
            # sensor jitter, a fresh draw each time
            x = x + JITTER * torch.randn_like(x)
        return x, self.y[i]


train_ds = BandDataset(X[:4500], y[:4500], train=True)
test_ds = BandDataset(X[4500:], y[4500:], train=False)
train_loader = DataLoader(train_ds, batch_size=64, shuffle=True)
test_loader = DataLoader(test_ds, batch_size=500)

model = nn.Sequential(
    nn.Linear(24, 128), nn.ReLU(),
    nn.Linear(128, 64), nn.ReLU(),
    nn.Linear(64, 6),
)
opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
criterion = nn.CrossEntropyLoss()


def run(loader, training):
    model.train(training)
    loss_sum, preds, trues = 0.0, [], []
    with torch.set_grad_enabled(training):
        for xb, yb in loader:
            logits = model(xb)
            loss = criterion(logits, yb)
            if training:
                opt.zero_grad()
                loss.backward()
                opt.step()
            loss_sum += loss.item() * len(yb)
            preds.append(logits.argmax(1))
            trues.append(yb)
    p, t = torch.cat(preds).numpy(), torch.cat(trues).numpy()
    return loss_sum / len(t), accuracy_score(t, p), f1_score(t, p, average="macro")


for epoch in range(1, 31):
    tr = run(train_loader, True)
    te = run(test_loader, False)
    if epoch % 3 == 0:
        print("epoch %2d | train loss %.3f acc %.3f | test loss %.3f acc %.3f f1 %.3f" % (epoch, tr[0], tr[1], te[0], te[1], te[2]))
