"""Topic of short customer notes (made up), word embeddings + attention pooling."""
import os
import random
from collections import Counter

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

PAD, UNK = 0, 1


def write_notes(n, rng):
    """Four topics with 40 words each, 200 common words and a long tail of typos and names."""
    notes = []
    for _ in range(n):
        topic = rng.randrange(4)
        words = []
        for _ in range(max(1, int(rng.gauss(9, 4)))):
            u = rng.random()
            if u < 0.33:
                words.append(f"t{topic}_{int(40 * rng.random() ** 1.5)}")
            elif u < 0.40:
                words.append(f"t{rng.randrange(4)}_{int(40 * rng.random() ** 1.5)}")
            elif u < 0.88:
                words.append(f"w{int(200 * rng.random() ** 2)}")
            else:
                words.append(f"x{rng.randrange(100000)}")
        notes.append((" ".join(words), topic))
    return notes


class Vocabulary:
    def __init__(self, texts, min_count=3):
        counts = Counter(w for t in texts for w in t.split())
        kept = sorted(w for w, c in counts.items() if c >= min_count)
        self.index = {w: i + 2 for i, w in enumerate(kept)}

    def __len__(self):
        return len(self.index) + 2

    def encode(self, text):
        ids = [self.index[w] for w in text.split() if w in self.index]
        return ids


def collate(vocab):
    def fn(batch):
        ids = [vocab.encode(t) for t, _ in batch]
        width = max(len(i) for i in ids)
        x = torch.tensor([i + [PAD] * (width - len(i)) for i in ids])
        return x, torch.tensor([y for _, y in batch])
    return fn


class AttentionPool(nn.Module):
    def __init__(self, n_words, dim=24, n_out=4):
        super().__init__()
        self.emb = nn.Embedding(n_words, dim, padding_idx=PAD)
        self.score = nn.Sequential(nn.Linear(dim, 16), nn.Tanh(), nn.Linear(16, 1))
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(dim, n_out)

    def forward(self, x):
        e = self.emb(x)
        a = self.score(e).squeeze(-1).masked_fill(x == PAD, float("-inf")).softmax(dim=1)
        return self.out(self.drop((a.unsqueeze(-1) * e).sum(dim=1)))


def main():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    train, test = write_notes(5000, rng), write_notes(1500, rng)
    vocab = Vocabulary(t for t, _ in train)
    train_dl = DataLoader(train, batch_size=50, shuffle=True, collate_fn=collate(vocab))
    test_dl = DataLoader(test, batch_size=250, collate_fn=collate(vocab))
    net = AttentionPool(len(vocab))
    opt = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-2)
    loss_fn = nn.CrossEntropyLoss()
    for epoch in range(8):
        net.train()
        total = 0.0
        for x, y in train_dl:
            opt.zero_grad()
            loss = loss_fn(net(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            opt.step()
            total += loss.item() * len(y)
        net.eval()
        with torch.no_grad():
            good = sum((net(x).argmax(1) == y).sum().item() for x, y in test_dl)
        print(f"epoch {epoch} | loss {total / len(train):.4f} | test accuracy {good / len(test):.4f}")


if __name__ == "__main__":
    main()
