import os
import random

import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", "0"))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

N_LETTERS, N_LANG = 12, 4


class ChainDataset(Dataset):
    """Words from a few artificial languages, each one a Markov chain over letters."""

    def __init__(self, tables, n, rng):
        self.items = []
        for _ in range(n):
            lang = int(rng.integers(N_LANG))
            length = int(rng.integers(10, 31))
            word = [int(rng.integers(N_LETTERS))]
            while len(word) < length:
                word.append(int(rng.choice(N_LETTERS, p=tables[lang][word[-1]])))
            self.items.append((torch.tensor(word) + 1, lang))     # 0 is padding

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    # pack_padded_sequence wants the longest sequence first
    words, langs = zip(*batch)
    words = sorted(words, key=len, reverse=True)
    lengths = torch.tensor([len(w) for w in words])
    return pad_sequence(words, batch_first=True), lengths, torch.tensor(langs)


class LangId(nn.Module):
    def __init__(self, emb=16, hid=40):
        super().__init__()
        self.emb = nn.Embedding(N_LETTERS + 1, emb, padding_idx=0)
        self.gru = nn.GRU(emb, hid, batch_first=True)
        self.out = nn.Linear(hid, N_LANG)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.emb(x), lengths, batch_first=True)
        _, h = self.gru(packed)
        return self.out(h[-1])


def run_epoch(model, loader, criterion, optimizer=None):
    model.train(optimizer is not None)
    loss_sum = correct = count = 0
    with torch.set_grad_enabled(optimizer is not None):
        for x, lengths, target in loader:
            logits = model(x, lengths)
            loss = criterion(logits, target)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            loss_sum += loss.item() * len(target)
            correct += (logits.argmax(1) == target).sum().item()
            count += len(target)
    return loss_sum / count, correct / count


def main():
    rng = np.random.default_rng(SEED)
    tables = rng.dirichlet(np.full(N_LETTERS, 0.35), size=(N_LANG, N_LETTERS))
    train = DataLoader(ChainDataset(tables, 2200, rng), batch_size=40, shuffle=True, collate_fn=collate)
    test = DataLoader(ChainDataset(tables, 800, rng), batch_size=40, collate_fn=collate)
    model = LangId()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(1, 7):
        tl, ta = run_epoch(model, train, criterion, optimizer)
        vl, va = run_epoch(model, test, criterion)
        print(f"[{epoch}] train loss {tl:.3f} acc {ta:.3f} | test loss {vl:.3f} acc {va:.3f}")


if __name__ == "__main__":
    main()
