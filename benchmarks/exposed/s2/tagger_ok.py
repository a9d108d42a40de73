# Part-of-speech-like tagger on an artificial language, BiGRU.
import argparse
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

p = argparse.ArgumentParser()
p.add_argument("--epochs", type=int, default=7)
p.add_argument("--batch", type=int, default=32)
p.add_argument("--lr", type=float, default=6e-3)
args = p.parse_args()

seed = int(os.environ.get("SEED", "0"))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

N_TAGS, VOCAB, LEN = 6, 90, 12


def make_language(n):
    """Tags follow a Markov chain, words come from their tag; a third of the words belong to two tags."""
    g = np.random.default_rng(7)
    trans = g.dirichlet(np.full(N_TAGS, 0.3), N_TAGS)
    owner = g.integers(0, N_TAGS, VOCAB)
    second = np.where(g.random(VOCAB) < 0.33, g.integers(0, N_TAGS, VOCAB), owner)
    words_of = [np.flatnonzero((owner == t) | (second == t)) for t in range(N_TAGS)]
    r = np.random.default_rng(1000 + seed)
    words, tags = np.zeros((n, LEN), int), np.zeros((n, LEN), int)
    for i in range(n):
        t = r.integers(N_TAGS)
        for j in range(LEN):
            tags[i, j], words[i, j] = t, r.choice(words_of[t])
            t = r.choice(N_TAGS, p=trans[t])
    return torch.from_numpy(words), torch.from_numpy(tags)


class Tagger(nn.Module):
    def __init__(self, emb=24, hid=32):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, emb)
        self.rnn = nn.GRU(emb, hid, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hid, N_TAGS)

    def forward(self, w):
        h, _ = self.rnn(self.emb(w))
        return self.out(h)  # batch, time, tags


words, tags = make_language(1700)
tr, te = slice(0, 1200), slice(1200, None)
model = Tagger()
opt = torch.optim.Adam(model.parameters(), lr=args.lr)

for ep in range(args.epochs):
    model.train()
    losses = []
    order = torch.randperm(1200)
    for idx in order.split(args.batch):
        logits = model(words[tr][idx])
        B, T, C = logits.shape
        # cross_entropy wants the classes on axis 1
        loss = F.cross_entropy(logits.transpose(1, 2), tags[tr][idx])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        acc = (model(words[te]).argmax(-1) == tags[te]).float().mean().item()
    print(f"{ep:2d}  train loss {np.mean(losses):.4f}  test token accuracy {acc:.4f}")
