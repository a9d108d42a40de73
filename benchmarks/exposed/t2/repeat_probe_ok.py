# Does the first symbol of a sequence come back later on?  Tiny transformer.
import os
import random
import math
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", "0"))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

VOCAB, LEN, DIM = 10, 10, 32
STEPS, WARM, BATCH = 600, 60, 64
PEAK = 3e-3


def make(n):
    x = torch.randint(0, VOCAB, (n, LEN))
    rest = x[:, 1:]
    # take the first symbol out of the tail everywhere ...
    rest[rest == x[:, :1]] = (x[:, :1].expand_as(rest)[rest == x[:, :1]] + 1) % VOCAB
    # ... and put it back at one place for half of the rows
    y = torch.randint(0, 2, (n,))
    where = torch.randint(1, LEN, (n,))
    rows = torch.arange(n)[y == 1]
    x[rows, where[y == 1]] = x[rows, 0]
    return x, y


class Probe(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Parameter(torch.randn(LEN, DIM) * .1)
        self.qkv = nn.ModuleList([nn.Linear(DIM, 3 * DIM) for _ in range(2)])
        self.mix = nn.ModuleList([nn.Linear(DIM, DIM) for _ in range(2)])
        self.n1 = nn.ModuleList([nn.LayerNorm(DIM) for _ in range(2)])
        self.n2 = nn.ModuleList([nn.LayerNorm(DIM) for _ in range(2)])
        self.ff = nn.ModuleList([nn.Sequential(nn.Linear(DIM, 64), nn.GELU(), nn.Linear(64, DIM))
                                 for _ in range(2)])
        self.last = nn.LayerNorm(DIM)
        self.head = nn.Linear(DIM, 2)

    def forward(self, x):
        h = self.tok(x) + self.pos
        for i in range(2):
            q, k, v = self.qkv[i](self.n1[i](h)).chunk(3, dim=-1)
            att = (q @ k.transpose(1, 2) / math.sqrt(DIM)).softmax(-1)
            h = h + self.mix[i](att @ v)
            h = h + self.ff[i](self.n2[i](h))
        return self.head(self.last(h[:, 0]))


train_x, train_y = make(12000)
test_x, test_y = make(2000)
net = Probe()
opt = torch.optim.AdamW(net.parameters(), lr=PEAK, weight_decay=0.01)


def lr_at(step):
    """linear warm-up to the peak, then linear down to zero"""
    up = (step + 1) / WARM
    down = (STEPS - step) / (STEPS - WARM)
    return min(up, down)


sched = torch.optim.lr_scheduler.LambdaLR(opt, lr_at)

for step in range(STEPS):
    rows = torch.randint(0, len(train_x), (BATCH,))
    loss = F.cross_entropy(net(train_x[rows]), train_y[rows])
    opt.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    sched.step()
    if (step + 1) % 100 == 0:
        print("step", step + 1, "loss %.4f" % loss.item())

net.eval()
with torch.no_grad():
    acc = (net(test_x).argmax(1) == test_y).float().mean().item()
print("held-out accuracy %.4f" % acc)
