"""(a + b) mod p from 70 % of the table, after Power et al. 2022: memorises first, understands later."""
import os
import random

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

P = 31
DIM, HIDDEN = 48, 128
LR, DECAY, STEPS = 5e-3, 1.0, 2000

table = torch.cartesian_prod(torch.arange(P), torch.arange(P))
answer = (table[:, 0] + table[:, 1]) % P
order = torch.randperm(len(table))
cut = int(0.7 * len(table))
train, test = order[:cut], order[cut:]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Embedding(P, DIM)
        self.right = nn.Embedding(P, DIM)
        for e in (self.left, self.right):
            nn.init.normal_(e.weight, std=0.3)
        self.hidden = nn.Linear(DIM, HIDDEN)
        self.out = nn.Linear(HIDDEN, P, bias=False)

    def forward(self, ab):
        z = self.left(ab[:, 0]) + self.right(ab[:, 1])
        return self.out(torch.relu(self.hidden(z)))


model = Net()
opt = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY, betas=(0.9, 0.98))
warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1.0, (s + 1) / 10))
crit = nn.CrossEntropyLoss()

for step in range(1, STEPS + 1):
    logits = model(table[train])
    loss = crit(logits, answer[train])
    opt.zero_grad()
    loss.backward()
    opt.step()
    warm.step()
    if step % 125 == 0:
        with torch.no_grad():
            out = model(table[test])
            tacc = (logits.argmax(1) == answer[train]).float().mean()
            vacc = (out.argmax(1) == answer[test]).float().mean()
            print(f"step {step:5d}  train loss {loss.item():.4f} acc {tacc:.3f}   unseen pairs loss {crit(out, answer[test]).item():.4f} acc {vacc:.3f}")

with torch.no_grad():
    print("accuracy on unseen pairs %.4f" % (model(table[test]).argmax(1) == answer[test]).float().mean().item())
