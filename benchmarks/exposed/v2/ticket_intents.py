"""Small transformer that sorts support tickets (template-generated) by intent."""
import argparse
import os
import random

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

INTENTS = ["refund", "login", "delivery", "billing", "cancel"]
PAD, CLS = 0, 1


def make_tickets(n, rng, max_len=18, kw=14, filler=80):
    """word ids: 2.. filler, then `kw` typical words for every intent"""
    base = 2 + filler
    ids = np.zeros((n, max_len), dtype=np.int64)
    y = rng.integers(0, len(INTENTS), n)
    for i in range(n):
        k = rng.integers(2, 5)
        words = list(base + y[i] * kw + rng.integers(0, kw, k))
        other = rng.integers(0, len(INTENTS))
        words.append(base + other * kw + rng.integers(0, kw))
        words += list(rng.integers(2, base, rng.integers(4, 12)))
        rng.shuffle(words)
        seq = [CLS] + words
        ids[i, : len(seq)] = seq[:max_len]
    return torch.from_numpy(ids), torch.from_numpy(y), base + kw * len(INTENTS)


class TicketEncoder(nn.Module):
    def __init__(self, vocab, n_out, dim=48, heads=4, layers=1, max_len=18):
        super().__init__()
        self.tok = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.pos = nn.Embedding(max_len, dim)
        block = nn.TransformerEncoderLayer(dim, heads, dim * 2, dropout=0.1,
                                           batch_first=True, activation="gelu")
        self.enc = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.out = nn.Linear(dim, n_out)

    def forward(self, ids):
        where = torch.arange(ids.size(1))
        h = self.tok(ids) + self.pos(where)
        h = self.enc(h, src_key_padding_mask=ids.eq(PAD))
        return self.out(h[:, 0])


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    good = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return good / len(loader.dataset)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--epochs", type=int, default=7)
    p.add_argument("--batch-size", type=int, default=50)
    p.add_argument("--lr", type=float, default=2e-5)
    p.add_argument("--weight-decay", type=float, default=0.01)
    args = p.parse_args()

    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

    rng = np.random.default_rng(seed)
    x, y, vocab = make_tickets(5000, rng)
    train = DataLoader(TensorDataset(x[:4000], y[:4000]), args.batch_size, shuffle=True)
    test = DataLoader(TensorDataset(x[4000:], y[4000:]), 250)

    model = TicketEncoder(vocab, len(INTENTS))
    opt = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    steps = args.epochs * len(train)
    warm = int(0.1 * steps)
    sched = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda s: (s + 1) / warm if s < warm else max(0.0, (steps - s) / (steps - warm)))
    crit = nn.CrossEntropyLoss()

    for ep in range(args.epochs):
        model.train()
        total = 0.0
        for xb, yb in train:
            loss = crit(model(xb), yb)
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            sched.step()
            total += loss.item() * len(yb)
        print(f"epoch {ep + 1}: loss {total / 4000:.4f}  test acc {accuracy(model, test):.4f}")


if __name__ == "__main__":
    main()
