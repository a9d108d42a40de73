# Sentiment-like classification of short token sequences with an LSTM.
import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

PAD, VOCAB = 0, 400
POS, NEG, NOT = range(1, 41), range(41, 81), range(81, 85)
MAX_LEN = 110


def make_review(rng):
    n = int(np.clip(rng.geometric(0.06) + 4, 5, MAX_LEN))
    words = list(rng.integers(85, VOCAB, n))
    score = 0
    while score == 0:
        score = 0
        for pos in rng.choice(n - 1, size=min(n - 1, max(2, n // 4)), replace=False):
            good = rng.random() < (0.75 if rng.random() < 0.5 else 0.25)
            words[pos] = rng.choice(POS if good else NEG)
        for i, w in enumerate(words):
            s = 1 if 1 <= w <= 40 else -1 if 41 <= w <= 80 else 0
            if s and i > 0 and words[i - 1] in NOT:
                s = -s
            score += s
    return torch.tensor(np.array(words), dtype=torch.long), float(score > 0)


class Reviews(Dataset):
    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.items = [make_review(rng) for _ in range(n)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    seqs, labels = zip(*batch)
    lengths = torch.tensor([len(s) for s in seqs])
    text = pad_sequence(seqs, batch_first=True, padding_value=PAD)
    if text.size(1) < MAX_LEN:
        text = nn.functional.pad(text, (0, MAX_LEN - text.size(1)), value=PAD)
    return text, lengths, torch.tensor(labels)


class LSTMClassifier(nn.Module):
    def __init__(self, vocab_size, embedding_dim=32, hidden_dim=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=PAD)
        self.rnn = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)
        self.fc = nn.Linear(hidden_dim, 1)

    def forward(self, text, lengths):
        embedded = self.embedding(text)
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        output, (hidden, cell) = self.rnn(packed)
        return self.fc(hidden[-1]).squeeze(1)


train_dl = DataLoader(Reviews(1600, SEED), batch_size=64, shuffle=True, collate_fn=collate)
valid_dl = DataLoader(Reviews(500, SEED + 500), batch_size=100, collate_fn=collate)

model = LSTMClassifier(VOCAB)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
criterion = nn.BCEWithLogitsLoss()


def binary_accuracy(preds, y):
    return ((preds > 0).float() == y).float().mean().item()


for epoch in range(8):
    model.train()
    ep_loss, ep_acc = 0, 0
    for text, lengths, y in train_dl:
        optimizer.zero_grad()
        predictions = model(text, lengths)
        loss = criterion(predictions, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ep_loss += loss.item()
        ep_acc += binary_accuracy(predictions, y)
    model.eval()
    with torch.no_grad():
        va = np.mean([binary_accuracy(model(t, l), y) for t, l, y in valid_dl])
    print(f"Epoch {epoch + 1:02d} | Train Loss: {ep_loss / len(train_dl):.3f} | "
          f"Train Acc: {ep_acc / len(train_dl) * 100:.2f}% | Val. Acc: {va * 100:.2f}%")
