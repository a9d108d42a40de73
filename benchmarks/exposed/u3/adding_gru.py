"""The adding problem: two of T numbers are marked, say their sum at the end."""
import os, random, time
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED), np.random.seed(SEED), torch.manual_seed(SEED)

T = 24
HIDDEN = 32
ITERS = 800
LR = 1e-2


def batch(n):
    values = torch.rand(n, T)
    marks = torch.zeros(n, T)
    rows = torch.arange(n)
    marks[rows, torch.randint(0, T // 2, (n,))] = 1
    marks[rows, torch.randint(T // 2, T, (n,))] = 1
    return torch.stack([values, marks], -1), (values * marks).sum(1)


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, HIDDEN, batch_first=True)
        self.read = nn.Linear(HIDDEN, 1)

    def forward(self, x):
        _, h = self.rnn(x)
        return self.read(h[0]).squeeze(-1)


model = Adder()
optimizer = torch.optim.RMSprop(model.parameters(), lr=LR, alpha=.95)
warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1., (i + 1) / 50) * min(1., 2.02 * (1 - i / ITERS)))
mse = nn.MSELoss()
start = time.time()
acc = 0.
for it in range(1, ITERS + 1):
    x, y = batch(64)
    optimizer.zero_grad()
    loss = mse(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    warm.step()
    acc += loss.item()
    if it % 100 == 0:
        print(f"iteration {it}: mse {acc / 100:.5f} ({time.time() - start:.1f}s); saying 1 always costs 0.1667")
        acc = 0.

model.eval()
with torch.no_grad():
    x, y = batch(3000)
    r2 = 1 - (model(x) - y).square().sum() / (y - y.mean()).square().sum()
print(f"fresh sequences: R2 {r2:.4f}")
