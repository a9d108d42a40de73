"""Multi-label tagging of bag-of-words documents."""
import argparse
import os
import random

import numpy as np
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import average_precision_score, f1_score
from torch import nn
from torch.utils.data import DataLoader, Dataset


def seed_all(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


class Docs(Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Tagger(nn.Module):
    def __init__(self, words, tags, hidden, p):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(words, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(p))
        self.out = nn.Linear(hidden, tags)

    def forward(self, x):
        return self.out(self.body(x))


def train_epoch(model, loader, opt, crit):
    model.train()
    seen = total = 0
    for x, y in loader:
        opt.zero_grad()
        loss = crit(model(x), y)
        loss.backward()
        opt.step()
        total += loss.item() * len(x)
        seen += len(x)
    return total / seen


@torch.no_grad()
def predict(model, x):
    model.eval()
    return torch.sigmoid(model(x)).numpy()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=15)
    ap.add_argument("--lr", type=float, default=1e-3)
    ap.add_argument("--hidden", type=int, default=128)
    ap.add_argument("--dropout", type=float, default=0.3)
    args = ap.parse_args()
    seed = int(os.environ.get("SEED", 0))
    seed_all(seed)

    x, y = make_multilabel_classification(n_samples=6000, n_features=120, n_classes=12, n_labels=3, length=60,
                                          allow_unlabeled=True, random_state=seed)
    x = np.sqrt(x / x.sum(1, keepdims=True).clip(1))          # Hellinger: evens out frequent words
    x = torch.tensor(x, dtype=torch.float32)
    y = torch.tensor(y, dtype=torch.float32)
    xa, ya, xv, yv, xt, yt = x[:4000], y[:4000], x[4000:4800], y[4000:4800], x[4800:], y[4800:]
    mu, sd = xa.mean(0), xa.std(0) + 1e-6
    xa, xv, xt = [(a - mu) / sd for a in (xa, xv, xt)]

    model = Tagger(x.shape[1], y.shape[1], args.hidden, args.dropout)
    crit = nn.BCEWithLogitsLoss()
    opt = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    sched = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, total_iters=args.epochs)
    loader = DataLoader(Docs(xa, ya), batch_size=64, shuffle=True)
    for ep in range(1, args.epochs + 1):
        tl = train_epoch(model, loader, opt, crit)
        sched.step()
        pv = predict(model, xv)
        print(f"{ep:02d} loss={tl:.4f} val_mAP={average_precision_score(yv.numpy(), pv, average='macro'):.4f}")

    pv, pt = predict(model, xv), predict(model, xt)
    cuts = [max(np.linspace(0.1, 0.8, 29), key=lambda c: f1_score(yv[:, k], pv[:, k] > c)) for k in range(y.shape[1])]
    print("test macro F1 %.4f" % f1_score(yt.numpy(), pt > np.array(cuts), average="macro"))
    print("test mAP %.4f" % average_precision_score(yt.numpy(), pt, average="macro"))


if __name__ == "__main__":
    main()
