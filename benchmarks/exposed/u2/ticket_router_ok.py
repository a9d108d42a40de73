import argparse, os, random
from collections import Counter

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

# ---------------------------------------------------------------- data
TOPICS = {
    "billing": "invoice charge refund card payment price overdue receipt tax plan".split(),
    "network": "wifi router signal slow disconnect cable ping outage modem speed".split(),
    "account": "login password locked email reset username verify code profile delete".split(),
    "delivery": "parcel late courier tracking address box damaged return depot label".split(),
    "device": "screen battery button charger broken noise heat update crash camera".split(),
}
FILLER = ("the a my is not please help since yesterday i have and it with for on after again you "
          "thanks hello can someone still need to new old very customer number call today").split()


def make_tickets(n, rng):
    names = list(TOPICS)
    out = []
    for _ in range(n):
        k = rng.randrange(len(names))
        words = []
        for _ in range(rng.randint(7, 20)):
            u = rng.random()
            if u < 0.22:
                words.append(rng.choice(TOPICS[names[k]]))
            elif u < 0.32:
                words.append(rng.choice(TOPICS[rng.choice(names)]))
            else:
                words.append(rng.choice(FILLER))
        out.append((" ".join(words), k))
    return out


class Tickets(Dataset):
    def __init__(self, rows, vocab):
        self.rows = [([vocab.get(w, 1) for w in text.split()], k) for text, k in rows]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def collate(batch):
    flat = torch.tensor([t for ids, _ in batch for t in ids])
    offs = torch.tensor([0] + [len(ids) for ids, _ in batch[:-1]]).cumsum(0)
    return flat, offs, torch.tensor([k for _, k in batch])


class Router(nn.Module):
    def __init__(self, n_vocab, dim, n_out):
        super().__init__()
        self.bag = nn.EmbeddingBag(n_vocab, dim, mode="mean")
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 64), nn.GELU(), nn.Linear(64, n_out))

    def forward(self, flat, offs):
        return self.head(self.bag(flat, offs))


def evaluate(model, loader):
    model.eval()
    good = n = 0
    with torch.no_grad():
        for flat, offs, y in loader:
            good += (model(flat, offs).argmax(1) == y).sum().item()
            n += len(y)
    model.train()
    return good / n


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=40)
    ap.add_argument("--lr", type=float, default=2e-2)
    ap.add_argument("--batch-size", type=int, default=64)
    ap.add_argument("--accum", type=int, default=64, help="micro-batches per update")
    args = ap.parse_args()

    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    rng = random.Random(seed)
    train, test = make_tickets(1800, rng), make_tickets(1000, rng)
    counts = Counter(w for t, _ in train for w in t.split())
    vocab = {w: i + 2 for i, (w, _) in enumerate(counts.most_common())}

    train_loader = DataLoader(Tickets(train, vocab), args.batch_size, shuffle=True, collate_fn=collate)
    test_loader = DataLoader(Tickets(test, vocab), 256, collate_fn=collate)
    model = Router(len(vocab) + 2, 32, len(TOPICS))
    opt = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-2)
    ce = nn.CrossEntropyLoss()

    for epoch in range(args.epochs):
        opt.zero_grad()
        running = 0.0
        for i, (flat, offs, y) in enumerate(train_loader):
            loss = ce(model(flat, offs), y)
            (loss / args.accum).backward()
            running += loss.item()
            if (i + 1) % args.accum == 0 or i + 1 == len(train_loader):
                opt.step()
                opt.zero_grad()
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1} | train loss {running / len(train_loader):.4f} "
                  f"| test acc {evaluate(model, test_loader):.4f}")
    print("test accuracy:", round(evaluate(model, test_loader), 4))


if __name__ == "__main__":
    main()
