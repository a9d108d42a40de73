"""Translate human-written dates to ISO form with a GRU encoder-decoder with attention (teacher forcing)."""
import os, random, datetime
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

FORMATS = ["%d %b %Y", "%B %d, %Y", "%d.%m.%y", "%a %d %b %y", "%b %d %Y", "%Y/%m/%d"]

def sample():
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=random.randrange(20000))
    return day.strftime(random.choice(FORMATS)).lower(), day.isoformat()

data = [sample() for _ in range(5500)]
PAD, BOS = 0, 1
src_chars = sorted({c for s, _ in data for c in s}); tgt_chars = sorted("0123456789-")
s2i = {c: i + 1 for i, c in enumerate(src_chars)}
t2i = {c: i + 2 for i, c in enumerate(tgt_chars)}
L = max(len(s) for s, _ in data)
S = torch.tensor([[s2i[c] for c in s] + [PAD] * (L - len(s)) for s, _ in data])
T = torch.tensor([[BOS] + [t2i[c] for c in t] for _, t in data])
n_train = 5000


class Seq2Seq(nn.Module):
    def __init__(self, n_src, n_tgt, e=24, h=64):
        super().__init__()
        self.src_emb, self.tgt_emb = nn.Embedding(n_src, e, padding_idx=PAD), nn.Embedding(n_tgt, e)
        self.enc = nn.GRU(e, h // 2, batch_first=True, bidirectional=True)
        self.dec = nn.GRU(e, h, batch_first=True)
        self.bridge = nn.Linear(h, h)
        self.out = nn.Linear(2 * h, n_tgt)

    def encode(self, s):
        mem, last = self.enc(self.src_emb(s))
        return mem, torch.tanh(self.bridge(torch.cat([last[0], last[1]], 1)))[None], (s == PAD)

    def decode(self, t, hidden, mem, mask):
        o, hidden = self.dec(self.tgt_emb(t), hidden)
        att = (o @ mem.transpose(1, 2)) / mem.shape[-1] ** 0.5
        att = att.masked_fill(mask[:, None], -1e9).softmax(-1)
        return self.out(torch.cat([o, att @ mem], -1)), hidden

    def forward(self, s, t_in):
        mem, h, mask = self.encode(s)
        return self.decode(t_in, h, mem, mask)[0]

    @torch.no_grad()
    def greedy(self, s, n=10):
        mem, h, mask = self.encode(s)
        tok = torch.full((len(s), 1), BOS); out = []
        for _ in range(n):
            logit, h = self.decode(tok, h, mem, mask)
            tok = logit.argmax(-1); out.append(tok)
        return torch.cat(out, 1)


model = Seq2Seq(len(src_chars) + 1, len(tgt_chars) + 2)
EPOCHS = 8
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 5e-3, total_steps=EPOCHS * ((n_train + 63) // 64))
for epoch in range(EPOCHS):
    tot = 0
    for b in torch.randperm(n_train).split(64):
        logits = model(S[b], T[b, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), T[b, 1:].flatten())
        opt.zero_grad(); loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step(); sched.step()
        tot += loss.item() * len(b)
    print(f"epoch {epoch + 1} token nll {tot / n_train:.4f}")
pred = model.greedy(S[n_train:])
exact = (pred == T[n_train:, 1:]).all(1).float().mean().item()
print(f"exact match on new dates {exact:.4f}")
