# mixed precision by hand: fp16 compute, fp32 master weights, constant loss scale
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

LOSS_SCALE = 2.0 ** 10
EPOCHS, BATCH = 12, 32

digits = load_digits()
x = (digits.data / 16.0).astype(np.float32)
xtr, xte, ytr, yte = train_test_split(x, digits.target, test_size=0.3, random_state=SEED)
xtr, xte = torch.from_numpy(xtr - 0.3), torch.from_numpy(xte - 0.3)
ytr, yte = torch.from_numpy(ytr), torch.from_numpy(yte)

model = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 10))
params = list(model.parameters())
opt = torch.optim.SGD(params, lr=0.1, momentum=0.9)


def amp_step(xb, yb):
    opt.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        loss = F.cross_entropy(model(xb).float(), yb)
    (loss * LOSS_SCALE).backward()
    for p in params:
        p.grad.div_(LOSS_SCALE)
    norm = torch.stack([p.grad.norm() for p in params]).norm()
    if torch.isfinite(norm):
        opt.step()
    return loss.item()


for epoch in range(EPOCHS):
    perm = torch.randperm(len(xtr))
    losses = [amp_step(xtr[i], ytr[i]) for i in perm.split(BATCH)]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
        acc = (model(xte).argmax(1) == yte).float().mean().item()
    print(f"epoch {epoch:2d}: loss {np.mean(losses):.4f}  test accuracy {acc:.4f}")
