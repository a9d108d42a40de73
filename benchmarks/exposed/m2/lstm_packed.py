import os, random
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# Tickets: token lists of length 5..30. The label is the kind of the LAST marker token (1..4) seen in the ticket.
VOCAB = 30


def ticket():
    n = random.randint(5, 30)
    toks = [random.randint(5, VOCAB - 1) for _ in range(n)]
    label = None
    for pos in sorted(random.sample(range(n), random.randint(1, 4))):
        toks[pos] = random.randint(1, 4)
        label = toks[pos] - 1
    if random.random() < 0.05:      # misrouted tickets
        label = random.randint(0, 3)
    return torch.tensor(toks), label


def collate(batch):
    seqs, labels = zip(*batch)
    lens = torch.tensor([len(s) for s in seqs])
    return pad_sequence(seqs, batch_first=True, padding_value=0), lens, torch.tensor(labels)


class Router(nn.Module):
    def __init__(self, emb=16, hid=32):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, emb, padding_idx=0)
        self.lstm = nn.LSTM(emb, hid, batch_first=True)
        self.out = nn.Linear(hid, 4)

    def forward(self, x, lens):
        packed = pack_padded_sequence(self.emb(x), lens, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.out(h[-1])


train_dl = DataLoader([ticket() for _ in range(2500)], batch_size=64, shuffle=True, collate_fn=collate)
valid_dl = DataLoader([ticket() for _ in range(1000)], batch_size=250, collate_fn=collate)
net = Router()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(14):
    net.train()
    total = 0.0
    for x, lens, y in train_dl:
        loss = nn.functional.cross_entropy(net(x, lens), y)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        total += loss.item() * len(y)
    net.eval()
    hit = 0
    with torch.no_grad():
        for x, lens, y in valid_dl:
            hit += (net(x, lens).argmax(1) == y).sum().item()
    print(f"epoch {epoch:2d} train loss {total / 2500:.4f} valid acc {hit / 1000:.4f}")
