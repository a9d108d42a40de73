"""Mean teacher (Tarvainen & Valpola 2017) on digits: 8 labelled pictures per class, the rest without labels."""
import copy
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

LR, STEPS, HIDDEN, WEIGHT = 6e-3, 700, 128, 4.0

x, y = load_digits(return_X_y=True)
xa, xt, ya, yt = train_test_split(x / 16.0, y, test_size=0.3, stratify=y, random_state=SEED)
xa, xt = [torch.tensor(v, dtype=torch.float32).view(-1, 1, 8, 8) for v in (xa, xt)]
ya, yt = torch.tensor(ya), torch.tensor(yt)
lab = torch.cat([torch.nonzero(ya == c).flatten()[:8] for c in range(10)])


def jitter(v):
    out = F.pad(v, (1, 1, 1, 1))
    n = len(v)
    dx, dy = torch.randint(0, 3, (n,)), torch.randint(0, 3, (n,))
    rows = dy[:, None, None] + torch.arange(8)[None, :, None]
    cols = dx[:, None, None] + torch.arange(8)[None, None, :]
    out = out[torch.arange(n)[:, None, None], 0, rows, cols][:, None]
    return out + 0.1 * torch.randn_like(out)


def build():
    return nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 32, 3, padding=1), nn.ReLU(),
                         nn.Flatten(), nn.Linear(512, HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, 10))


student = build()
teacher = copy.deepcopy(student).requires_grad_(False)
teacher.eval()
opt = torch.optim.Adam(student.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)


@torch.no_grad()
def score(m):
    m.eval()
    return (m(xt).argmax(1) == yt).float().mean().item()


for step in range(STEPS):
    student.train()
    xl, yl = jitter(xa[lab]), ya[lab]
    xu = xa[torch.randint(len(xa), (100,))]
    with torch.no_grad():
        aim = teacher(jitter(xu)).softmax(1)
    sup = F.cross_entropy(student(xl), yl)
    cons = ((student(jitter(xu)).softmax(1) - aim) ** 2).sum(1).mean()
    ramp = np.exp(-5 * (1 - min(1.0, step / (0.4 * STEPS))) ** 2)
    loss = sup + WEIGHT * ramp * cons
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    keep = min(0.98, 1 - 1 / (step + 1))
    with torch.no_grad():
        for p, q in zip(teacher.parameters(), student.parameters()):
            p.mul_(keep).add_(q, alpha=1 - keep)
    if step % 100 == 99:
        print(f"step {step + 1}: labelled loss {sup.item():.4f} consistency {cons.item():.4f}")
print(f"student {score(student):.4f}")
print(f"teacher on held-out digits {score(teacher):.4f}")
