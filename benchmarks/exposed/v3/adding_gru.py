# The "adding problem" (Hochreiter & Schmidhuber 1997; Le et al. 2015).
# Sequence of (value, marker) pairs; the answer is the sum of the two marked values.
# Predicting the mean gives MSE 0.167 -- every network sits there for a while.
import argparse
import os
import random

import numpy as np
import torch
from torch import nn

p = argparse.ArgumentParser()
p.add_argument("--T", type=int, default=30)
p.add_argument("--hidden", type=int, default=32)
p.add_argument("--iters", type=int, default=700)
p.add_argument("--batch", type=int, default=64)
p.add_argument("--lr", type=float, default=1e-2)
args = p.parse_args()

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


def make_batch(n, T):
    vals = torch.rand(n, T)
    marks = torch.zeros(n, T)
    i = torch.randint(0, T // 2, (n,))
    j = torch.randint(T // 2, T, (n,))
    r = torch.arange(n)
    marks[r, i] = 1.0
    marks[r, j] = 1.0
    return torch.stack([vals, marks], -1), (vals * marks).sum(1)


class Adder(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.rnn = nn.GRU(2, h, batch_first=True)
        self.out = nn.Linear(h, 1)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h[:, -1]).squeeze(-1)


net = Adder(args.hidden)
opt = torch.optim.Adam(net.parameters(), lr=args.lr)
warm = 50
sched = torch.optim.lr_scheduler.LambdaLR(
    opt, lambda k: min(1.0, (k + 1) / warm) * max(0.02, 1 - k / args.iters))
xv, yv = make_batch(1000, args.T)
base = yv.var().item()

smooth = None
for it in range(1, args.iters + 1):
    x, y = make_batch(args.batch, args.T)
    loss = (net(x) - y).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    sched.step()
    smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
    if it % 50 == 0:
        with torch.no_grad():
            mse = (net(xv) - yv).pow(2).mean().item()
        print(f"iter {it:5d} | train mse {smooth:.4f} | held-out mse {mse:.4f} | R2 {1 - mse / base:.3f}")
