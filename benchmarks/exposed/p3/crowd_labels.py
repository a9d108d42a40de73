"""Crowd-labelled data: one in five labels of the training AND the test rows is a random other class."""
import os
import random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

N_TRAIN, N_VAL, N_TEST, D, C = 10000, 2000, 5000, 6, 3
rng = np.random.default_rng(SEED)
A = rng.normal(size=(D, C)) * 1.2
B = rng.normal(size=(D, C)) * 0.3


def draw(n):
    x = rng.normal(size=(n, D)).astype(np.float32)
    true = (x @ A + (x ** 2 - 1) @ B).argmax(1)
    wrong = rng.random(n) < 0.2
    given = np.where(wrong, (true + rng.integers(1, C, n)) % C, true)
    return torch.from_numpy(x), torch.from_numpy(given), torch.from_numpy(true)


x_tr, y_tr, _ = draw(N_TRAIN)
x_va, y_va, _ = draw(N_VAL)
x_te, y_te, t_te = draw(N_TEST)

net = nn.Sequential(nn.Linear(D, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, C))
crit = nn.CrossEntropyLoss(label_smoothing=0.1)
opt = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1)
best = (1e9, None)
bad = 0
for epoch in range(60):
    net.train()
    tl = 0.0
    for b in torch.randperm(N_TRAIN).split(128):
        opt.zero_grad()
        loss = crit(net(x_tr[b]), y_tr[b])
        loss.backward()
        opt.step()
        tl += loss.item() * len(b) / N_TRAIN
    net.eval()
    with torch.no_grad():
        out = net(x_va)
        vl = crit(out, y_va).item()
        va = (out.argmax(1) == y_va).float().mean().item()
    print(f"{epoch:2d} train {tl:.4f} val {vl:.4f} acc {va:.3f}")
    if vl < best[0] - 1e-4:
        best, bad = (vl, {k: v.detach().clone() for k, v in net.state_dict().items()}), 0
    else:
        bad += 1
        if bad >= 8:
            break

net.load_state_dict(best[1])
with torch.no_grad():
    pred = net(x_te).argmax(1)
print(f"test accuracy {(pred == y_te).float().mean():.4f} (perfect model {(t_te == y_te).float().mean():.4f})")
