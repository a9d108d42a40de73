# Sequence to sequence: read a string of digits, write it out in ascending order. GRU encoder, GRU decoder with attention.
import os
import random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
L, V, BOS = 8, 10, 10


class Seq2Seq(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.emb = nn.Embedding(V + 1, 32)
        self.enc = nn.GRU(32, hidden, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, hidden)
        self.dec = nn.GRU(32, hidden, batch_first=True)
        self.query = nn.Linear(hidden, 2 * hidden, bias=False)
        self.out = nn.Linear(3 * hidden, V)

    def encode(self, src):
        mem, h = self.enc(self.emb(src))
        return mem, torch.tanh(self.bridge(torch.cat([h[0], h[1]], 1))).unsqueeze(0)

    def decode(self, tok, h, mem):
        y, h = self.dec(self.emb(tok), h)
        att = torch.softmax(self.query(y) @ mem.transpose(1, 2) / mem.shape[-1] ** 0.5, -1)
        return self.out(torch.cat([y, att @ mem], -1)), h

    def forward(self, src, tgt):
        mem, h = self.encode(src)
        start = torch.full((len(src), 1), BOS)
        return self.decode(torch.cat([start, tgt[:, :-1]], 1), h, mem)[0]       # teacher forcing

    @torch.no_grad()
    def translate(self, src):
        mem, h = self.encode(src)
        tok, res = torch.full((len(src), 1), BOS), []
        for _ in range(src.shape[1]):
            logits, h = self.decode(tok, h, mem)
            tok = logits.argmax(-1)
            res.append(tok)
        return torch.cat(res, 1)


test_src = torch.randint(0, V, (1000, L))
test_tgt = test_src.sort(1).values
model = Seq2Seq()
STEPS, LR = 700, 4e-3
optimizer = torch.optim.Adam(model.parameters(), lr=LR)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LR, total_steps=STEPS, pct_start=0.2)
ce = nn.CrossEntropyLoss()
acc_loss = 0
for step in range(1, STEPS + 1):
    src = torch.randint(0, V, (128, L))
    tgt = src.sort(1).values
    logits = model(src, tgt)
    loss = ce(logits.reshape(-1, V), tgt.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    acc_loss += loss.item()
    if step % 100 == 0:
        pred = model.translate(test_src)
        print(f"{step:5d} | loss {acc_loss / 100:.4f} | token acc {(pred == test_tgt).float().mean():.3f} | whole strings {(pred == test_tgt).all(1).float().mean():.3f}")
        acc_loss = 0
print("exact match %.4f" % (model.translate(test_src) == test_tgt).all(1).float().mean())
