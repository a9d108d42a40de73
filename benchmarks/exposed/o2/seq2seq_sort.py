import os
import random
import time

import numpy as np
import torch
import torch.nn as nn
from torch import optim

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

SOS, VOCAB, LEN, HID = 0, 12, 6, 64


def batch(n):
    src = torch.randint(1, VOCAB, (n, LEN))
    return src, src.sort(dim=1, descending=True).values


class EncoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 32)
        self.gru = nn.GRU(32, HID, batch_first=True)

    def forward(self, src):
        return self.gru(self.embedding(src))[1]


class DecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 32)
        self.gru = nn.GRU(32, HID, batch_first=True)
        self.out = nn.Linear(HID, VOCAB)

    def forward(self, tokens, hidden):
        o, hidden = self.gru(self.embedding(tokens), hidden)
        return self.out(o), hidden


def train_iter(encoder, decoder, enc_opt, dec_opt, criterion, n=64):
    src, tgt = batch(n)
    dec_opt.zero_grad()
    hidden = encoder(src)
    inp = torch.cat([torch.full((n, 1), SOS), tgt[:, :-1]], dim=1)
    logits, _ = decoder(inp, hidden)
    loss = criterion(logits.reshape(-1, VOCAB), tgt.reshape(-1))
    loss.backward()
    enc_opt.step()
    dec_opt.step()
    return loss.item()


@torch.no_grad()
def evaluate(encoder, decoder, n=500):
    src, tgt = batch(n)
    hidden = encoder(src)
    tok = torch.full((n, 1), SOS)
    outs = []
    for _ in range(LEN):
        logits, hidden = decoder(tok, hidden)
        tok = logits.argmax(-1)
        outs.append(tok)
    pred = torch.cat(outs, 1)
    return (pred == tgt).float().mean().item(), (pred == tgt).all(1).float().mean().item()


encoder, decoder = EncoderRNN(), DecoderRNN()
encoder_optimizer = optim.Adam(encoder.parameters(), lr=2e-3)
decoder_optimizer = optim.Adam(decoder.parameters(), lr=2e-3)
criterion = nn.CrossEntropyLoss()

start, running = time.time(), 0.0
for it in range(1, 1501):
    running += train_iter(encoder, decoder, encoder_optimizer, decoder_optimizer, criterion)
    if it % 250 == 0:
        tok_acc, seq_acc = evaluate(encoder, decoder)
        print(f"{it:5d} {time.time() - start:5.1f}s loss {running / 250:.4f} token acc {tok_acc:.3f} seq acc {seq_acc:.3f}")
        running = 0.0

tok_acc, seq_acc = evaluate(encoder, decoder, 2000)
print(f"final token accuracy {tok_acc:.4f}")
