"""Unsegmented strokes to symbols with CTC: a 1-D signal holds 3 to 5 symbols of varying length."""
import os
import random

import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

SHAPES = [  # templates of the six symbols, 0 is CTC's blank
    [0, 1, 1, 0], [0, 1, 0, 1, 0], [0, -1, -1, 0], [0, -1, 0, 1, 0], [0, 1, 0, -1, 0], [0, 1, 1, 1, 1, 1, 0],
]
LENGTH, NOISE = 48, 0.15


def make(n):
    xs, ys, lens = np.zeros((n, LENGTH), np.float32), np.zeros((n, 5), np.int64), np.zeros(n, np.int64)
    for i in range(n):
        k = np.random.randint(3, 6)
        pos = np.random.randint(0, 4)
        syms = np.random.randint(0, len(SHAPES), k)
        for s in syms:
            shape = SHAPES[s]
            xs[i, pos:pos + len(shape)] += np.array(shape) * np.random.uniform(0.8, 1.2)
            pos += len(shape) + np.random.randint(0, 3)
        ys[i, :k] = syms + 1
        lens[i] = k
    xs += NOISE * np.random.randn(*xs.shape)
    return torch.from_numpy(xs).float(), torch.from_numpy(ys), torch.from_numpy(lens)


class Reader(nn.Module):
    def __init__(self, h=32):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, h, 5, padding=2), nn.ReLU(), nn.Conv1d(h, h, 5, padding=2, stride=2), nn.ReLU())
        self.rnn = nn.GRU(h, h, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * h, len(SHAPES) + 1)

    def forward(self, x):
        z = self.conv(x[:, None]).transpose(1, 2)
        return self.out(self.rnn(z)[0]).log_softmax(-1)


def decode(lp):
    best = lp.argmax(-1)
    out = []
    for row in best.tolist():
        seq, prev = [], 0
        for c in row:
            if c != prev and c:
                seq.append(c)
            prev = c
        out.append(seq)
    return out


EPOCHS, LR, BATCH = 14, 4e-3, 50
x, y, n = make(2500)
xt, yt, nt = make(600)
net = Reader()
ctc = nn.CTCLoss(blank=0, zero_infinity=True)
opt = torch.optim.Adam(net.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS, eta_min=1e-5)
for ep in range(EPOCHS):
    tot = 0.0
    for idx in torch.randperm(len(x)).split(BATCH):
        lp = net(x[idx])
        loss = ctc(lp.transpose(0, 1), y[idx], torch.full((len(idx),), lp.shape[1]), n[idx])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()
        tot += loss.item() * len(idx)
    sched.step()
    print(f"epoch {ep + 1} ctc {tot / len(x):.4f}")

net.eval()
with torch.no_grad():
    guess = decode(net(xt))
right = np.mean([g == yt[i, :nt[i]].tolist() for i, g in enumerate(guess)])
print("example", guess[0], yt[0, :nt[0]].tolist())
print(f"sequences read without an error {right:.4f}")
