"""Route support tickets to a queue from their words (tokens with ids, padded, generated here)."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader
from torch.nn.utils.rnn import pad_sequence

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

QUEUES = ["billing", "login", "delivery", "refund", "bug", "other"]
VOCAB = 400
rng = np.random.default_rng(SEED)

# word frequencies: a common part (Zipf) and a few words typical of each queue
base = 1.0 / (np.arange(VOCAB) + 5.0)
rng.shuffle(base)
base /= base.sum()
topic = np.stack([0.86 * base + 0.14 * rng.dirichlet(np.full(VOCAB, 0.05)) for _ in QUEUES])


def make_ticket():
    q = int(rng.integers(len(QUEUES)))
    n = int(rng.integers(8, 40))
    words = rng.choice(VOCAB, size=n, p=topic[q]) + 1          # 0 is padding
    return torch.from_numpy(words), q


train_set = [make_ticket() for _ in range(10000)]
valid_set = [make_ticket() for _ in range(1000)]
test_set = [make_ticket() for _ in range(2000)]


def collate(rows):
    seqs, labels = zip(*rows)
    return pad_sequence(seqs, batch_first=True), torch.tensor(labels)


class BagOfWords(nn.Module):
    def __init__(self, dim=48):
        super().__init__()
        self.emb = nn.Embedding(VOCAB + 1, dim, padding_idx=0)
        self.drop = nn.Dropout(0.5)
        self.mix = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, len(QUEUES))

    def forward(self, ids):
        mask = (ids != 0).float().unsqueeze(-1)
        e = self.emb(ids)
        pooled = 0.25 * (e * mask).sum(1)
        z = torch.relu(self.mix(self.drop(pooled)))
        return self.out(z)


def evaluate(model, loader):
    model.eval()
    hit = tot = 0
    with torch.no_grad():
        for ids, lab in loader:
            hit += (model(ids).argmax(1) == lab).sum().item()
            tot += len(lab)
    return hit / tot


train_loader = DataLoader(train_set, batch_size=64, shuffle=True, collate_fn=collate)
valid_loader = DataLoader(valid_set, batch_size=256, collate_fn=collate)
test_loader = DataLoader(test_set, batch_size=256, collate_fn=collate)

model = BagOfWords()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
criterion = nn.CrossEntropyLoss()
best, best_state, patience = 0.0, None, 0
for epoch in range(30):
    model.train()
    losses = []
    for ids, lab in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(ids), lab)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    acc = evaluate(model, valid_loader)
    print(f"epoch {epoch}: loss {np.mean(losses):.3f} valid acc {acc:.3f}")
    if acc > best:
        best, best_state, patience = acc, {k: v.clone() for k, v in model.state_dict().items()}, 0
    else:
        patience += 1
        if patience == 4:
            break

model.load_state_dict(best_state)
print(f"best valid {best:.4f}, test accuracy {evaluate(model, test_loader):.4f}")
