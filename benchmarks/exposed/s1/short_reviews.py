"""Sentiment of made-up product reviews with an embedding bag."""
import os
import random

import numpy as np
import torch
from torch import nn

GOOD = "great lovely solid fast quiet bright happy perfect sturdy sharp cheap neat".split()
BAD = "poor noisy broken slow ugly weak late cracked dull sad loose useless".split()
NEUTRAL = ("the a it this is was box phone lamp chair screen cable battery very quite bought for my "
           "son desk with and one two week month colour shop order price arrived").split()


def write_review(rng, mood):
    liked, other = (GOOD, BAD) if mood else (BAD, GOOD)
    words = []
    for _ in range(rng.randint(8, 20)):
        r = rng.random()
        words.append(rng.choice(liked) if r < 0.20 else rng.choice(other) if r < 0.26 else rng.choice(NEUTRAL))
    return words


def corpus(n, rng):
    moods = [rng.randint(0, 1) for _ in range(n)]
    return [write_review(rng, m) for m in moods], moods


def encode(texts, vocab, length=20):
    out = torch.zeros(len(texts), length, dtype=torch.long)
    for i, words in enumerate(texts):
        ids = [vocab[w] for w in words]
        out[i, : len(ids)] = torch.tensor(ids)
    return out


class BagOfWords(nn.Module):
    def __init__(self, n_words, dim=16):
        super().__init__()
        self.emb = nn.EmbeddingBag(n_words, dim, mode="mean", padding_idx=0)
        self.head = nn.Sequential(nn.Linear(dim, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, ids):
        return self.head(self.emb(ids))[:, 0]


def shuffled_batches(x, y, size):
    x = x[torch.randperm(len(x))]
    y = y[torch.randperm(len(y))]
    for s in range(0, len(x), size):
        yield x[s : s + size], y[s : s + size]


seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)
rng = random.Random(seed)
vocab = {w: i + 1 for i, w in enumerate(GOOD + BAD + NEUTRAL)}
train_texts, train_moods = corpus(4000, rng)
test_texts, test_moods = corpus(1500, rng)
x_train, y_train = encode(train_texts, vocab), torch.tensor(train_moods).float()
x_test, y_test = encode(test_texts, vocab), torch.tensor(test_moods).float()

model = BagOfWords(len(vocab) + 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.01)
bce = nn.BCEWithLogitsLoss()

for epoch in range(10):
    model.train()
    losses = []
    for xb, yb in shuffled_batches(x_train, y_train, 50):
        optimizer.zero_grad()
        loss = bce(model(xb), yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        acc = ((model(x_test) > 0) == (y_test > 0.5)).float().mean()
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, test accuracy {acc:.4f}")
