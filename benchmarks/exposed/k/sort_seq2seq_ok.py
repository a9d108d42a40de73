"""GRU encoder / decoder that sorts short sequences of digits (teacher forcing)."""
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

SOS, NTOK, LEN, HID = 10, 11, 6, 64


class EncoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(NTOK, 24)
        self.gru = nn.GRU(24, HID, batch_first=True)

    def forward(self, src):
        _, h = self.gru(self.embedding(src))
        return h


class DecoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(NTOK, 24)
        self.gru = nn.GRU(24, HID, batch_first=True)
        self.out = nn.Linear(HID, NTOK)

    def forward(self, tgt_in, h):
        o, h = self.gru(self.embedding(tgt_in), h)
        return self.out(o), h


def batch(n):
    src = torch.randint(0, 10, (n, LEN))
    return src, src.sort(dim=1).values


encoder, decoder = EncoderRNN(), DecoderRNN()
encoder_optimizer = optim.SGD(encoder.parameters(), lr=0.3, momentum=0.9)
decoder_optimizer = optim.SGD(decoder.parameters(), lr=0.3, momentum=0.9)
criterion = nn.CrossEntropyLoss()


def train_step(src, tgt):
    encoder_optimizer.zero_grad()
    decoder_optimizer.zero_grad()
    start = torch.full((len(src), 1), SOS)
    logits, _ = decoder(torch.cat([start, tgt[:, :-1]], 1), encoder(src))
    loss = criterion(logits.reshape(-1, NTOK), tgt.reshape(-1))
    loss.backward()
    encoder_optimizer.step()
    decoder_optimizer.step()
    return loss.item()


@torch.no_grad()
def evaluate(src, tgt):
    h = encoder(src)
    tok = torch.full((len(src), 1), SOS)
    outs = []
    for _ in range(LEN):
        logits, h = decoder(tok, h)
        tok = logits.argmax(-1)
        outs.append(tok)
    hyp = torch.cat(outs, 1)
    return (hyp == tgt).float().mean().item(), (hyp == tgt).all(1).float().mean().item()


test_src, test_tgt = batch(1000)
avg = 0.0
for it in range(1, 1001):
    avg += train_step(*batch(64))
    if it % 250 == 0:
        tok_acc, seq_acc = evaluate(test_src, test_tgt)
        print(f"iter {it:5d}  loss {avg / 250:.4f}  token acc {tok_acc:.3f}  sequence acc {seq_acc:.3f}")
        avg = 0.0
