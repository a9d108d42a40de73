import math
import os
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

PAD, NOT = 0, 1
POS, NEG = range(2, 14), range(14, 26)
VOCAB, MAXLEN = 80, 16


def make_reviews(n, rng):
    """token ids of short reviews; 'not' turns the word that follows it round"""
    X = np.zeros((n, MAXLEN), dtype=np.int64)
    y = np.zeros(n, dtype=np.int64)
    for i in range(n):
        while True:
            length, toks, score = rng.integers(8, MAXLEN + 1), [], 0
            while len(toks) < length - 1:
                r = rng.random()
                if r < 0.4:
                    good = rng.random() < 0.5
                    neg = rng.random() < 0.08
                    if neg:
                        toks.append(NOT)
                    toks.append(random.choice(POS if good else NEG))
                    score += 1 if good != neg else -1
                else:
                    toks.append(int(rng.integers(26, VOCAB)))
            if score != 0:
                break
        toks = toks[:MAXLEN]
        X[i, :len(toks)] = toks
        y[i] = score > 0
    return torch.from_numpy(X), torch.from_numpy(y)


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, max_len=64):
        super().__init__()
        pos = torch.arange(max_len).unsqueeze(1)
        div = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(1, max_len, d_model)
        pe[0, :, 0::2] = torch.sin(pos * div)
        pe[0, :, 1::2] = torch.cos(pos * div)
        self.register_buffer("pe", pe)

    def forward(self, x):
        return x + self.pe[:, :x.size(1)]


class Classifier(nn.Module):
    def __init__(self, d_model=32, nhead=4, layers=4):
        super().__init__()
        self.d_model = d_model
        self.embed = nn.Embedding(VOCAB, d_model, padding_idx=PAD)
        self.pos = PositionalEncoding(d_model)
        layer = nn.TransformerEncoderLayer(d_model, nhead, 64, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Linear(d_model, 2)

    def forward(self, tokens):
        mask = tokens == PAD
        h = self.pos(self.embed(tokens))
        h = self.encoder(h, src_key_padding_mask=mask)
        keep = (~mask).unsqueeze(-1).float()
        return self.out((h * keep).sum(1) / keep.sum(1))


rng = np.random.default_rng(SEED)
train_ds = TensorDataset(*make_reviews(3000, rng))
X_val, y_val = make_reviews(1000, rng)
loader = DataLoader(train_ds, batch_size=64, shuffle=True)

model = Classifier()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

EPOCHS = 8
for epoch in range(1, EPOCHS + 1):
    model.train()
    total, correct = 0.0, 0
    for xb, yb in loader:
        optimizer.zero_grad()
        logits = model(xb)
        loss = criterion(logits, yb)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(yb)
        correct += (logits.argmax(1) == yb).sum().item()
    model.eval()
    with torch.no_grad():
        val_acc = (model(X_val).argmax(1) == y_val).float().mean().item()
    print(f"Epoch {epoch}/{EPOCHS} train_loss={total / len(train_ds):.4f} train_acc={correct / len(train_ds):.4f} val_acc={val_acc:.4f}")
