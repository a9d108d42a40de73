import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.metrics import f1_score

TAGS = ['vegan', 'quick', 'spicy', 'dessert', 'grill', 'soup', 'gluten-free', 'festive']
FREQ = [0.45, 0.40, 0.25, 0.20, 0.15, 0.15, 0.30, 0.10]


class Recipes:
    """Made-up recipes: a bag of word ids each, and any number of tags (none as well)."""

    def __init__(self, n, rng, common=150, own=10):
        self.texts, rows = [], []
        self.vocab = common + own * len(TAGS)
        for _ in range(n):
            tags = rng.random(len(TAGS)) < FREQ
            words = list(rng.integers(0, common, rng.integers(6, 14)))
            for t in np.flatnonzero(tags):
                words += list(common + t * own + rng.integers(0, own, rng.integers(1, 4)))
            # a stray word now and then
            if rng.random() < 0.10:
                words.append(rng.integers(common, self.vocab))
            rng.shuffle(words)
            self.texts.append(torch.tensor(np.array(words), dtype=torch.long))
            rows.append(tags)
        self.tags = torch.tensor(np.array(rows), dtype=torch.float32)

    def batch(self, idx):
        chosen = [self.texts[i] for i in idx]
        lens = torch.tensor([0] + [len(c) for c in chosen[:-1]])
        return torch.cat(chosen), lens.cumsum(0), self.tags[idx]


class Tagger(nn.Module):
    def __init__(self, vocab, dim=32):
        super().__init__()
        self.words = nn.EmbeddingBag(vocab, dim, mode='sum')
        nn.init.normal_(self.words.weight, std=0.1)
        self.hidden = nn.Linear(dim, 64)
        self.tags = nn.Linear(64, len(TAGS))

    def forward(self, ids, offsets):
        return self.tags(torch.tanh(self.hidden(self.words(ids, offsets))))


class Trainer:
    def __init__(self, model, data, held_out, lr=2e-3, batch=50):
        self.model, self.data, self.held_out, self.bs = model, data, held_out, batch
        self.opt = torch.optim.RMSprop(model.parameters(), lr=lr)
        self.loss_fn = nn.BCEWithLogitsLoss()

    def epoch(self):
        self.model.train()
        losses = []
        for idx in torch.randperm(len(self.data.texts)).split(self.bs):
            ids, off, tags = self.data.batch(idx)
            self.opt.zero_grad()
            loss = self.loss_fn(self.model(ids, off), tags)
            loss.backward()
            self.opt.step()
            losses.append(loss.item())
        return np.mean(losses)

    def score(self):
        self.model.eval()
        ids, off, tags = self.held_out.batch(torch.arange(len(self.held_out.texts)))
        with torch.no_grad():
            pred = (torch.sigmoid(self.model(ids, off)) > 0.5).float()
        exact = (pred == tags).all(1).float().mean().item()
        return f1_score(tags.numpy(), pred.numpy(), average='micro'), exact


if __name__ == '__main__':
    seed = int(os.getenv('SEED', '0'))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed + 100)
    train, test = Recipes(4000, rng), Recipes(1500, rng)
    t = Trainer(Tagger(train.vocab), train, test)
    for e in range(10):
        loss = t.epoch()
        f1, exact = t.score()
        print(f'{e:2d} loss={loss:.4f} micro-F1={f1:.4f} all tags right={exact:.4f}')
