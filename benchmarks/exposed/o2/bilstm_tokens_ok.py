import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# toy review data: words with a hidden polarity, a negation word flips the next word
VOCAB, LENGTH, NEG = 60, 14, 1
polarity = np.random.choice([-1, 1], size=VOCAB)
polarity[:10] = 0


def make(n):
    seqs = np.random.randint(2, VOCAB, size=(n, LENGTH))
    seqs[np.random.rand(n, LENGTH) < 0.2] = NEG
    y = np.zeros(n, dtype=np.int64)
    for i, s in enumerate(seqs):
        score = 0
        for j, w in enumerate(s):
            flip = -1 if j > 0 and s[j - 1] == NEG else 1
            score += flip * polarity[w]
        y[i] = int(score > 0)
    return torch.from_numpy(seqs), torch.from_numpy(y)


class SentimentRNN(nn.Module):
    def __init__(self, vocab, emb=24, hidden=32, classes=2):
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(vocab, emb)
        self.lstm = nn.LSTM(emb, hidden, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, classes)

    def forward(self, x):
        out, (h_n, c_n) = self.lstm(self.embedding(x))
        h = h_n.transpose(0, 1).reshape(x.size(0), -1)
        return self.fc(h)


xtr, ytr = make(3000)
xte, yte = make(1000)
loader = DataLoader(TensorDataset(xtr, ytr), batch_size=50, shuffle=True)
model = SentimentRNN(VOCAB)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(1, 13):
    model.train()
    total, hit = 0.0, 0
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        loss = loss_fn(out, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        hit += (out.argmax(1) == y).sum().item()
    print(f"epoch {epoch}: loss {total / 3000:.4f} acc {hit / 3000:.4f}")

model.eval()
with torch.no_grad():
    acc = (model(xte).argmax(1) == yte).float().mean().item()
print(f"final test accuracy {acc:.4f}")
