import argparse
import os
import numpy as np
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import StepLR

parser = argparse.ArgumentParser(description="Order-sensitive intent tagging of short support messages")
parser.add_argument("--epochs", type=int, default=14)
parser.add_argument("--batch-size", type=int, default=50)
parser.add_argument("--lr", type=float, default=5e-3)
parser.add_argument("--gamma", type=float, default=0.7)
parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 0)))
args = parser.parse_args()
torch.manual_seed(args.seed)
np.random.seed(args.seed)

VERBS = ["cancel", "refund", "return", "exchange"]
NEG = ["not", "never", "without"]
NOUNS = ["order", "shirt", "invoice", "phone", "ticket", "parcel", "card", "voucher"]
FILL = ["please", "i", "want", "to", "the", "my", "you", "hello", "thanks", "today", "just", "can", "would", "like", "need", "about"]
vocab = {w: i + 1 for i, w in enumerate(VERBS + NEG + NOUNS + FILL)}


def make(n, rng, maxlen=14):
    X = np.zeros((n, maxlen), dtype=np.int64)
    Y = np.zeros(n, dtype=np.int64)
    for r in range(n):
        wanted, other = rng.choice(4, 2, replace=False)
        negated = [NEG[rng.integers(3)], VERBS[other]]
        parts = [[VERBS[wanted]], negated]
        if rng.random() < 0.5:
            parts.reverse()
        words = list(rng.choice(FILL, rng.integers(1, 4)))
        for p in parts:
            words += p + [NOUNS[rng.integers(8)]] + list(rng.choice(FILL, rng.integers(0, 3)))
        ids = [vocab[w] for w in words][:maxlen]
        X[r, -len(ids):] = ids          # left padding, last token always real
        Y[r] = wanted if rng.random() > 0.03 else rng.integers(4)
    return torch.from_numpy(X), torch.from_numpy(Y)


rng = np.random.default_rng(args.seed)
Xtr, Ytr = make(2000, rng)
Xte, Yte = make(1000, rng)


class Tagger(nn.Module):
    def __init__(self, n_words, n_out, emb=24, hid=40):
        super().__init__()
        self.emb = nn.Embedding(n_words + 1, emb, padding_idx=0)
        self.gru = nn.GRU(emb, hid, batch_first=True)
        self.out = nn.Linear(hid, n_out)

    def forward(self, x):
        _, h = self.gru(self.emb(x))
        return self.out(h[-1])


model = Tagger(len(vocab), 4)
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(1, args.epochs + 1):
    model.train()
    order = torch.randperm(len(Xtr))
    tot = 0.0
    for batch in order.split(args.batch_size):
        optimizer.zero_grad()
        loss = loss_fn(model(Xtr[batch]), Ytr[batch])
        loss.backward()
        optimizer.step()
        tot += loss.item() * len(batch)
    scheduler.step()
    model.eval()
    with torch.no_grad():
        acc = (model(Xte).argmax(1) == Yte).float().mean().item()
    print("epoch %d | loss %.4f | test acc %.4f" % (epoch, tot / len(Xtr), acc))
