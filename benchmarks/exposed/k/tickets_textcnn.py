# Kim-style text CNN for routing short support tickets
import os
import random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

TOPICS = ["billing", "network", "hardware", "account", "shipping", "feedback"]
VOCAB, MAXLEN = 600, 24


def make_corpus(n, rng, topic_words):
    X = np.zeros((n, MAXLEN), dtype=np.int64)
    y = rng.integers(0, len(TOPICS), n)
    for i in range(n):
        L = rng.integers(8, MAXLEN + 1)
        words = rng.integers(1, VOCAB, L)
        k = 3 + rng.integers(0, 3)
        pos = rng.choice(L, k, replace=False)
        words[pos] = rng.choice(topic_words[y[i]], k)
        X[i, :L] = words
    return torch.from_numpy(X), torch.from_numpy(y)


rng = np.random.default_rng(SEED)
topic_words = [rng.choice(np.arange(1, VOCAB), 25, replace=False) for _ in TOPICS]
Xtr, ytr = make_corpus(4500, rng, topic_words)
Xte, yte = make_corpus(1500, rng, topic_words)


class TextCNN(nn.Module):
    def __init__(self, emb=32, filters=24, widths=(1, 2, 3)):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, emb, padding_idx=0)
        self.convs = nn.ModuleList([nn.Conv1d(emb, filters, w) for w in widths])
        self.out = nn.Linear(filters * len(widths), len(TOPICS))

    def forward(self, x):
        e = self.embed(x).transpose(1, 2)
        e = F.dropout(e, p=0.3)
        h = torch.cat([F.relu(c(e)).max(dim=2).values for c in self.convs], dim=1)
        h = F.dropout(h, p=0.5)
        return self.out(h)


model = TextCNN()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)


def accuracy(X, y):
    model.eval()
    with torch.no_grad():
        pred = torch.cat([model(xb).argmax(1) for xb in X.split(500)])
    return (pred == y).float().mean().item()


for ep in range(1, 10):
    model.train()
    perm = torch.randperm(len(Xtr))
    losses = []
    for idx in perm.split(64):
        loss = F.cross_entropy(model(Xtr[idx]), ytr[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    print("epoch %2d | loss %.3f | train %.3f | test %.3f"
          % (ep, np.mean(losses), accuracy(Xtr[:1500], ytr[:1500]), accuracy(Xte, yte)))
