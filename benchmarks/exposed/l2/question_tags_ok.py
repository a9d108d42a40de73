# Tag prediction for forum questions: several tags per question, bag of embeddings
import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.metrics import f1_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N_TAGS, WORDS_PER_TAG, COMMON = 10, 25, 300
VOCAB = N_TAGS * WORDS_PER_TAG + COMMON


def make_corpus(n, rng):
    docs, tags = [], np.zeros((n, N_TAGS), np.float32)
    zipf = 1.0 / np.arange(1, COMMON + 1)
    zipf /= zipf.sum()
    for d in range(n):
        k = rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.25, 0.1])
        chosen = rng.choice(N_TAGS, k, replace=False)
        tags[d, chosen] = 1
        words = list(N_TAGS * WORDS_PER_TAG + rng.choice(COMMON, rng.integers(10, 25), p=zipf))
        for t in chosen:
            words += list(t * WORDS_PER_TAG + rng.integers(0, WORDS_PER_TAG, rng.integers(2, 6)))
        words += list(rng.integers(0, N_TAGS * WORDS_PER_TAG, 2))
        docs.append(torch.tensor(rng.permutation(words), dtype=torch.long))
    return docs, torch.tensor(tags)


rng = np.random.default_rng(SEED)
train_docs, train_tags = make_corpus(3000, rng)
test_docs, test_tags = make_corpus(800, rng)


def batches(docs, tags, size, shuffle):
    order = np.random.permutation(len(docs)) if shuffle else np.arange(len(docs))
    for s in range(0, len(docs), size):
        idx = order[s:s + size]
        chunk = [docs[j] for j in idx]
        offsets = torch.tensor([0] + [len(c) for c in chunk[:-1]]).cumsum(0)
        yield torch.cat(chunk), offsets, tags[torch.as_tensor(idx)]


class TagModel(nn.Module):
    def __init__(self, vocab, n_tags, dim=48):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim, mode="mean")
        self.drop = nn.Dropout(0.1)
        self.hidden = nn.Linear(dim, 64)
        self.out = nn.Linear(64, n_tags)

    def forward(self, text, offsets):
        return self.out(torch.relu(self.hidden(self.drop(self.bag(text, offsets)))))


model = TagModel(VOCAB, N_TAGS)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(12):
    model.train()
    losses = []
    for text, offsets, y in batches(train_docs, train_tags, 64, True):
        optimizer.zero_grad()
        logits = model(text, offsets)
        loss = criterion(logits, y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    model.eval()
    with torch.no_grad():
        scores = torch.cat([torch.sigmoid(model(t, o)) for t, o, _ in batches(test_docs, test_tags, 200, False)])
    pred = (scores > 0.5).int().numpy()
    micro = f1_score(test_tags.numpy(), pred, average="micro", zero_division=0)
    exact = (pred == test_tags.numpy()).all(1).mean()
    print(f"epoch {epoch + 1:2d}: loss {np.mean(losses):.4f}, test micro-F1 {micro:.4f}, exact match {exact:.4f}")
