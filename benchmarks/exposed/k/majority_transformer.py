import os
import random

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

L, VOCAB = 14, 8
CLS = VOCAB


def make(n):
    """votes in a row of tokens -> the winner (no ties)"""
    rows, labels = [], []
    while len(rows) < n:
        r = np.random.randint(0, VOCAB, L)
        c = np.bincount(r, minlength=VOCAB)
        if (c == c.max()).sum() == 1:
            rows.append(np.concatenate([[CLS], r]))
            labels.append(c.argmax())
    return torch.from_numpy(np.array(rows)), torch.from_numpy(np.array(labels))


class Classifier(nn.Module):
    def __init__(self, d=32, heads=4, layers=2):
        super().__init__()
        self.tok = nn.Embedding(VOCAB + 1, d)
        self.pos = nn.Parameter(0.02 * torch.randn(1, L + 1, d))
        layer = nn.TransformerEncoderLayer(d, heads, 2 * d, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.head = nn.Linear(d, VOCAB)

    def forward(self, x):
        return self.head(self.encoder(self.tok(x) + self.pos)[:, 0])


Xtr, ytr = make(3000)
Xte, yte = make(800)
net = Classifier()
optimizer = torch.optim.Adam(net.parameters(), lr=6e-2)
criterion = nn.CrossEntropyLoss()

for epoch in range(10):
    net.train()
    total = 0.0
    for idx in torch.randperm(len(Xtr)).split(50):
        loss = criterion(net(Xtr[idx]), ytr[idx])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
    net.eval()
    with torch.no_grad():
        acc = (net(Xte).argmax(1) == yte).float().mean().item()
    print(f"epoch {epoch + 1:2d}  loss {total / 60:.4f}  test acc {acc:.3f}")
