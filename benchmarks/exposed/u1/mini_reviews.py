import os
import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

GOOD = "great lovely tasty quick friendly clean cheap fresh fun charming".split()
BAD = "awful slow rude dirty stale pricey bland noisy dull broken".split()
THING = "soup staff room bread menu music table coffee service terrace bill waiter".split()
SOFT = "very really quite rather so".split()
NOT = "not never hardly".split()


def clause():
    flip = random.random() < 0.4
    good = random.random() < 0.5
    words = ["the", random.choice(THING), "was"]
    if flip:
        words.append(random.choice(NOT))
    if random.random() < 0.5:
        words.append(random.choice(SOFT))
    words.append(random.choice(GOOD if good else BAD))
    return words, good != flip


def review():
    first, a = clause()
    kind = random.random()
    if kind < 0.3:
        return first, int(a)
    second, b = clause()
    if kind < 0.65:
        return first + ["but"] + second, int(b)
    return ["although"] + first + [","] + second, int(b)


@dataclass
class Conf:
    emb: int = 32
    hid: int = 48
    lr: float = 3e-3
    epochs: int = 8
    batch: int = 32


class Reader(nn.Module):
    def __init__(self, n_words, c):
        super().__init__()
        self.emb = nn.Embedding(n_words, c.emb, padding_idx=0)
        self.gru = nn.GRU(c.emb, c.hid, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * c.hid, 2)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.emb(ids), lengths, batch_first=True, enforce_sorted=False)
        _, h = self.gru(packed)
        return self.head(torch.cat([h[0], h[1]], dim=1))


def main():
    c = Conf()
    texts = [review() for _ in range(5000)]
    vocab = {w: i + 1 for i, w in enumerate(sorted({w for t, _ in texts for w in t}))}
    coded = [(torch.tensor([vocab[w] for w in t]), y) for t, y in texts]
    train, test = coded[:4000], coded[4000:]
    seen = {tuple(t.tolist()) for t, _ in train}
    test = [(t, y) for t, y in test if tuple(t.tolist()) not in seen]

    def collate(batch):
        xs, ys = zip(*batch)
        return pad_sequence(xs, batch_first=True), torch.tensor([len(x) for x in xs]), torch.tensor(ys)

    dl = DataLoader(train, c.batch, shuffle=True, collate_fn=collate)
    tl = DataLoader(test, 200, collate_fn=collate)
    model = Reader(len(vocab) + 1, c)
    opt = torch.optim.Adam(model.parameters(), lr=c.lr)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(opt, gamma=0.8)
    crit = nn.CrossEntropyLoss()

    for epoch in range(c.epochs):
        model.train()
        total = 0
        for ids, lens, y in dl:
            opt.zero_grad()
            loss = crit(model(ids, lens), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            total += loss.item()
            scheduler.step()
        model.eval()
        ok = n = 0
        with torch.no_grad():
            for ids, lens, y in tl:
                ok += (model(ids, lens).argmax(1) == y).sum().item()
                n += len(y)
        print(f"epoch {epoch + 1}: train loss {total / len(dl):.4f}, test acc {ok / n:.4f}")


if __name__ == "__main__":
    main()
