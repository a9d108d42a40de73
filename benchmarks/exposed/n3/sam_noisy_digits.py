"""Digits with 30 % of the training labels replaced at random (annotator noise); sharpness-aware minimisation by hand."""
import os
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
X_tr, X_te, y_tr, y_te = train_test_split(X / 16.0, y, test_size=0.3, random_state=SEED, stratify=y)
noisy = y_tr.copy()
flip = rng.random(len(noisy)) < 0.3
noisy[flip] = rng.integers(0, 10, flip.sum())
print("labels that differ from the clean ones: %.3f" % (noisy != y_tr).mean())
X_tr, X_te = (torch.tensor(a, dtype=torch.float32) for a in (X_tr, X_te))
noisy, y_te = torch.tensor(noisy), torch.tensor(y_te)

W = 128
net = torch.nn.Sequential(torch.nn.Linear(64, W), torch.nn.ReLU(), torch.nn.Linear(W, 10))
base = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
RHO, EPOCHS = 0.1, 25
sched = torch.optim.lr_scheduler.CosineAnnealingLR(base, EPOCHS)


def loss_fn(idx):
    return F.cross_entropy(net(X_tr[idx]), noisy[idx])


for epoch in range(EPOCHS):
    tot = 0.0
    for idx in torch.randperm(len(X_tr)).split(64):
        base.zero_grad()
        first = loss_fn(idx)
        first.backward()
        with torch.no_grad():                       # climb to the worst point nearby ...
            norm = torch.sqrt(sum(p.grad.pow(2).sum() for p in net.parameters())) + 1e-12
            step = [RHO * p.grad / norm for p in net.parameters()]
            for p, e in zip(net.parameters(), step):
                p.add_(e)
        base.zero_grad()
        loss_fn(idx).backward()
        with torch.no_grad():                       # ... and back again, keeping its gradient
            for p, e in zip(net.parameters(), step):
                p.sub_(e)
        base.step()
        tot += first.item() * len(idx)
    sched.step()
    if epoch % 5 == 4:
        with torch.no_grad():
            agree = (net(X_tr).argmax(1) == noisy).float().mean().item()
        print(f"epoch {epoch + 1:2d}  loss {tot / len(X_tr):.4f}  agreement with given labels {agree:.3f}")

with torch.no_grad():
    print("accuracy on clean test labels %.4f" % (net(X_te).argmax(1) == y_te).float().mean().item())
