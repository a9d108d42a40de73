"""Predict the tags of a forum question from its words (several tags per question)."""
import argparse
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import f1_score

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--dim", type=int, default=64)
args = parser.parse_args()

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N_TAGS, VOCAB = 12, 600
rng = np.random.default_rng(SEED)
tag_words = [rng.choice(np.arange(1, 420), size=35, replace=False) for _ in range(N_TAGS)]


def sample(n):
    texts, tags = [], np.zeros((n, N_TAGS), dtype=np.float32)
    p = np.linspace(0.32, 0.12, N_TAGS)
    for i in range(n):
        on = np.flatnonzero(rng.random(N_TAGS) < p)
        if len(on) == 0:
            on = rng.integers(0, N_TAGS, 1)
        tags[i, on] = 1
        words = [rng.integers(420, VOCAB, 12)]
        for t in on:
            words.append(rng.choice(tag_words[t], size=rng.integers(3, 7)))
        texts.append(torch.from_numpy(np.concatenate(words).astype(np.int64)))
    return texts, torch.from_numpy(tags)


def collate(texts):
    offsets = torch.tensor([0] + [len(t) for t in texts[:-1]]).cumsum(0)
    return torch.cat(texts), offsets


class Tagger(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.bag = nn.EmbeddingBag(VOCAB, dim, mode="mean")
        self.fc1 = nn.Linear(dim, dim)
        self.fc2 = nn.Linear(dim, N_TAGS)
        self.drop = nn.Dropout(0.2)

    def forward(self, tokens, offsets):
        h = self.drop(self.bag(tokens, offsets))
        h = self.drop(F.relu(self.fc1(h)))
        return F.softmax(self.fc2(h), dim=1)


train_x, train_y = sample(4000)
test_x, test_y = sample(1000)

model = Tagger(args.dim)
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
criterion = nn.BCELoss()

for epoch in range(args.epochs):
    model.train()
    perm = np.random.permutation(len(train_x))
    losses = []
    for k in range(0, len(perm), args.batch):
        ids = perm[k:k + args.batch]
        tokens, offsets = collate([train_x[i] for i in ids])
        probs = model(tokens, offsets)
        loss = criterion(probs, train_y[ids])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        pred = (model(*collate(test_x)) > 0.5).float()
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f} micro-F1 {f1_score(test_y, pred, average='micro', zero_division=0):.4f}")
