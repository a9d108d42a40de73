"""Guess what a visitor came for from the click stream of one session.

Every session opens with a landing page (one of six campaigns) followed by
a long walk through the shop; the label is the campaign group.
"""
import os
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.getenv("SEED", "0"))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N_PAGES, N_CAMPAIGNS, T = 30, 6, 12


def make_sessions(n, rng):
    landing = rng.integers(0, N_CAMPAIGNS, n)
    walk = np.empty((n, T), dtype=np.int64)
    walk[:, 0] = landing
    walk[:, 1] = rng.integers(N_CAMPAIGNS, N_PAGES, n)
    for t in range(2, T):
        step = rng.integers(-2, 3, n)
        nxt = (walk[:, t - 1] - N_CAMPAIGNS + step) % (N_PAGES - N_CAMPAIGNS)
        walk[:, t] = nxt + N_CAMPAIGNS
    return torch.from_numpy(walk), torch.from_numpy(landing)


class Cell(nn.Module):
    """one step of a plain recurrent layer"""

    def __init__(self, n_in, n_hidden):
        super().__init__()
        self.inp = nn.Linear(n_in, n_hidden)
        self.rec = nn.Linear(n_hidden, n_hidden, bias=False)
        nn.init.orthogonal_(self.rec.weight)

    def forward(self, x, h):
        return torch.sigmoid(self.inp(x) + self.rec(h))


class SessionNet(nn.Module):
    def __init__(self, emb=16, hidden=32):
        super().__init__()
        self.hidden = hidden
        self.emb = nn.Embedding(N_PAGES, emb)
        self.cell = Cell(emb, hidden)
        self.head = nn.Linear(hidden, N_CAMPAIGNS)

    def forward(self, pages):
        h = torch.zeros(len(pages), self.hidden)
        for step in self.emb(pages).unbind(1):
            h = self.cell(step, h)
        return self.head(h)


def accuracy(model, loader):
    model.eval()
    hit = n = 0
    with torch.no_grad():
        for x, y in loader:
            hit += (model(x).argmax(1) == y).sum().item()
            n += len(y)
    model.train()
    return hit / n


def main():
    rng = np.random.default_rng(SEED)
    train = DataLoader(TensorDataset(*make_sessions(3000, rng)), batch_size=64, shuffle=True)
    held = DataLoader(TensorDataset(*make_sessions(1000, rng)), batch_size=250)

    model = SessionNet()
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    ce = nn.CrossEntropyLoss()
    for epoch in range(1, 16):
        running = 0.0
        for x, y in train:
            opt.zero_grad()
            loss = ce(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            running += loss.item()
        print(f"epoch {epoch:2d} loss {running / len(train):.4f} held-out acc {accuracy(model, held):.4f}")


if __name__ == "__main__":
    main()
