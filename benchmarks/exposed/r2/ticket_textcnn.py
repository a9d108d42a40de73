import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

VOCAB, N_CLASSES, PAD = 800, 6, 0


def make_tickets(n, rng):
    """Token ids of short support tickets: common words, words of the department, and two-word phrases."""
    base = 1.0 / np.arange(2, VOCAB + 1) ** 0.9
    base /= base.sum()
    g = np.random.default_rng(1234)
    topical = g.choice(np.arange(150, VOCAB), (N_CLASSES, 60))
    phrases = g.integers(150, VOCAB, (N_CLASSES, 10, 2))
    docs, ys = [], []
    for _ in range(n):
        c = rng.integers(N_CLASSES)
        length = rng.integers(8, 30)
        toks = rng.choice(np.arange(1, VOCAB), length, p=base)
        src = np.where(rng.random(length) < 0.75, c, rng.integers(0, N_CLASSES, length))
        own = rng.random(length) < 0.4
        toks[own] = topical[src[own], rng.integers(0, 60, own.sum())]
        if rng.random() < 0.4:
            k = rng.integers(0, length - 1)
            toks[k:k + 2] = phrases[c, rng.integers(10)]
        docs.append(torch.tensor(toks))
        ys.append(int(c))
    return list(zip(docs, ys))


def collate(batch):
    x = pad_sequence([b[0] for b in batch], batch_first=True, padding_value=PAD)
    return x, torch.tensor([b[1] for b in batch])


class TextCNN(nn.Module):
    def __init__(self, emb=48, channels=32, widths=(2, 3, 4), p_drop=0.4):
        super().__init__()
        self.p_drop = p_drop
        self.embed = nn.Embedding(VOCAB, emb, padding_idx=PAD)
        self.convs = nn.ModuleList([nn.Conv1d(emb, channels, w) for w in widths])
        self.fc1 = nn.Linear(channels * len(widths), 48)
        self.fc2 = nn.Linear(48, N_CLASSES)

    def forward(self, x):
        e = self.embed(x).transpose(1, 2)
        e = F.dropout(e, 0.3)
        pooled = [F.relu(conv(e)).amax(dim=2) for conv in self.convs]
        h = F.dropout(torch.cat(pooled, 1), self.p_drop)
        h = F.dropout(F.relu(self.fc1(h)), self.p_drop)
        return self.fc2(h)


def train_one_epoch(model, loader, optimizer):
    model.train()
    total, correct, seen = 0.0, 0, 0
    for x, y in loader:
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        correct += (logits.argmax(1) == y).sum().item()
        seen += len(y)
    return total / seen, correct / seen


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits, seen, total = 0, 0, 0.0
    for x, y in loader:
        out = model(x)
        total += F.cross_entropy(out, y, reduction='sum').item()
        hits += (out.argmax(1) == y).sum().item()
        seen += len(y)
    return total / seen, hits / seen


rng = np.random.default_rng(SEED)
train = DataLoader(make_tickets(4000, rng), batch_size=64, shuffle=True, collate_fn=collate)
valid = DataLoader(make_tickets(1000, rng), batch_size=200, collate_fn=collate)
model = TextCNN()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(1, 11):
    tl, ta = train_one_epoch(model, train, optimizer)
    vl, va = evaluate(model, valid)
    print(f'{epoch:2d} | train {tl:.3f} {ta:.3f} | valid {vl:.3f} {va:.3f}')
