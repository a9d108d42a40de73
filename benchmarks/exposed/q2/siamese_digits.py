"""Siamese network on pairs of handwritten digits: same class or not?"""
import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class PairDataset(Dataset):
    def __init__(self, images, classes, n_pairs):
        self.images = images
        by_class = [np.flatnonzero(classes == c) for c in range(10)]
        self.pairs = []
        for k in range(n_pairs):
            same = k % 2
            a = np.random.randint(len(classes))
            if same:
                b = np.random.choice(by_class[classes[a]])
            else:
                other = np.random.choice([c for c in range(10) if c != classes[a]])
                b = np.random.choice(by_class[other])
            self.pairs.append((a, b, same))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        a, b, same = self.pairs[i]
        return self.images[a], self.images[b], torch.tensor(float(same))


class SiameseNet(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(64, 96), nn.ReLU(),
            nn.Linear(96, 48), nn.ReLU(),
            nn.Linear(48, dim),
        )

    def forward(self, a, b):
        return self.net(a), self.net(b)


X, y = load_digits(return_X_y=True)
X = torch.tensor(X / 16.0, dtype=torch.float32)
perm = np.random.permutation(len(y))
tr, te = perm[:1300], perm[1300:]
train_ds = PairDataset(X[tr], y[tr], 4000)
test_ds = PairDataset(X[te], y[te], 1500)
train_dl = DataLoader(train_ds, batch_size=64, shuffle=True)
test_dl = DataLoader(test_ds, batch_size=500)

model = SiameseNet()
criterion = nn.CosineEmbeddingLoss(margin=0.2)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)


def test():
    model.eval()
    sims, same = [], []
    with torch.no_grad():
        for a, b, s in test_dl:
            ea, eb = model(a, b)
            sims.append(torch.cosine_similarity(ea, eb))
            same.append(s)
    sims, same = torch.cat(sims).numpy(), torch.cat(same).numpy()
    return roc_auc_score(same, sims), sims[same == 1].mean(), sims[same == 0].mean()


for epoch in range(8):
    model.train()
    total = 0.0
    for a, b, s in train_dl:
        ea, eb = model(a, b)
        loss = criterion(ea, eb, s)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(s)
    auc, pos, neg = test()
    print(f"epoch {epoch}: loss {total / len(train_ds):.4f}  sim same {pos:.3f} / other {neg:.3f}  test AUC {auc:.3f}")
