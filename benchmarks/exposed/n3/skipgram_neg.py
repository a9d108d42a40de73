"""word2vec (skip-gram, negative sampling) on a made-up corpus whose words come in topics."""
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

TOPICS, PER, COMMON = 20, 25, 60
V = TOPICS * PER + COMMON
zipf = 1 / np.arange(1, PER + 1) ** 0.7
zipf /= zipf.sum()
corpus = []
for _ in range(2500):
    t = rng.integers(TOPICS)
    words = t * PER + rng.choice(PER, 16, p=zipf)
    stop = rng.random(16) < 0.4
    words[stop] = TOPICS * PER + rng.integers(0, COMMON, stop.sum())
    corpus.append(words)
corpus = np.array(corpus)

pairs = []
for d in (1, 2, 3):
    pairs += [(corpus[:, :-d].ravel(), corpus[:, d:].ravel()), (corpus[:, d:].ravel(), corpus[:, :-d].ravel())]
center = torch.tensor(np.concatenate([a for a, _ in pairs]))
context = torch.tensor(np.concatenate([b for _, b in pairs]))
freq = torch.tensor(np.bincount(corpus.ravel(), minlength=V) ** 0.75, dtype=torch.float)


class SkipGram(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.inp = nn.Embedding(vocab, dim)
        self.out = nn.Embedding(vocab, dim)
        nn.init.uniform_(self.inp.weight, -0.5 / dim, 0.5 / dim)
        nn.init.zeros_(self.out.weight)

    def forward(self, c, o, neg):
        v = self.inp(c)
        pos = (v * self.out(o)).sum(-1)
        negs = torch.einsum("bd,bkd->bk", v, self.out(neg))
        return -(F.logsigmoid(pos) + F.logsigmoid(-negs).sum(-1)).mean()


model = SkipGram(V, 32)
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(3):
    order = torch.randperm(len(center))
    total = 0.0
    for step, idx in enumerate(order.split(1024)):
        neg = torch.multinomial(freq, len(idx) * 5, replacement=True).view(-1, 5)
        loss = model(center[idx], context[idx], neg)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    print("epoch", epoch, "sgns loss", total / (step + 1))

with torch.no_grad():
    e = F.normalize(model.inp.weight[:TOPICS * PER], dim=1)
    sim = e @ e.T
    sim.fill_diagonal_(-2)
    topic = torch.arange(TOPICS * PER) // PER
    near = sim.topk(5, dim=1).indices
    prec = (topic[near] == topic[:, None]).float().mean().item()
print("neighbour precision@5: %.4f" % prec)
