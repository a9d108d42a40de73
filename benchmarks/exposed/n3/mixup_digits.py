"""Digits with mixup, label smoothing and a one-cycle SGD whose peak rate is 1.0 (batch norm makes that possible)."""
import os
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

d = load_digits()
x = torch.tensor(d.images, dtype=torch.float32).unsqueeze(1) / 16
y = torch.tensor(d.target)
itr, ite = train_test_split(np.arange(len(y)), test_size=0.3, random_state=SEED, stratify=d.target)
xtr, ytr, xte, yte = x[itr], y[itr], x[ite], y[ite]


def block(i, o):
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


net = nn.Sequential(*block(1, 16), *block(16, 32), nn.MaxPool2d(2), *block(32, 32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
EPOCHS, BS, PEAK = 20, 64, 1.0
steps = EPOCHS * (len(xtr) // BS)
opt = torch.optim.SGD(net.parameters(), lr=PEAK, momentum=0.9, nesterov=True, weight_decay=5e-4)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=PEAK, total_steps=steps, pct_start=0.3, div_factor=20)
beta = torch.distributions.Beta(0.4, 0.4)

for epoch in range(1, EPOCHS + 1):
    net.train()
    losses, hits = [], 0
    perm = torch.randperm(len(xtr))
    for k in range(len(xtr) // BS):
        b = perm[k * BS:(k + 1) * BS]
        lam, other = beta.sample().item(), b[torch.randperm(BS)]
        out = net(lam * xtr[b] + (1 - lam) * xtr[other])
        loss = lam * criterion(out, ytr[b]) + (1 - lam) * criterion(out, ytr[other])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        losses.append(loss.item())
        hits += (out.argmax(1) == ytr[b]).sum().item()
    if epoch % 2 == 0:
        print(f"epoch {epoch:2d}  mixed loss {np.mean(losses):.3f}  mixed acc {hits / len(xtr):.3f}  lr {sched.get_last_lr()[0]:.4f}")

net.eval()
with torch.no_grad():
    print("test accuracy %.4f" % (net(xte).argmax(1) == yte).float().mean().item())
