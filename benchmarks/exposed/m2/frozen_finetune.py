import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

data = load_digits()
X = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
y = torch.tensor(data.target)
source, target = (y < 6).nonzero().squeeze(1), (y >= 6).nonzero().squeeze(1)
target = target[torch.randperm(len(target))]
few = torch.cat([target[y[target] == c][:8] for c in range(6, 10)])        # 8 pictures per new digit
rest = torch.tensor([i for i in target.tolist() if i not in set(few.tolist())])


def conv(i, o):
    return [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


backbone = nn.Sequential(*conv(1, 24), *conv(24, 24), nn.MaxPool2d(2), *conv(24, 48), nn.MaxPool2d(2), nn.Flatten())
head = nn.Linear(192, 6)

# stage 1: pretrain on digits 0-5
net = nn.Sequential(backbone, head)
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, epochs=8, steps_per_epoch=len(source) // 32 + 1)
for epoch in range(8):
    net.train()
    for idx in source[torch.randperm(len(source))].split(32):
        shifted = torch.roll(X[idx], random.randint(-1, 1), 3)
        loss = nn.functional.cross_entropy(net(shifted), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
    print(f"pretrain epoch {epoch} loss {loss.item():.4f}")

# stage 2: the backbone stays as it is (running statistics too), a new head learns the digits 6-9
for q in backbone.parameters():
    q.requires_grad = False
backbone.eval()
head = nn.Sequential(nn.Dropout(0.3), nn.Linear(192, 4))
opt = torch.optim.AdamW(head.parameters(), lr=1e-2, weight_decay=0.1)
for step in range(200):
    head.train()
    # one-pixel shifts make more of the 32 pictures
    xb = torch.roll(X[few], (random.randint(-1, 1), random.randint(-1, 1)), (2, 3))
    with torch.no_grad():
        f = backbone(xb)
    loss = nn.functional.cross_entropy(head(f), y[few] - 6, label_smoothing=0.05)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 40 == 39:
        print(f"head step {step + 1} loss {loss.item():.4f}")

head.eval()
with torch.no_grad():
    acc = (head(backbone(X[rest])).argmax(1) + 6 == y[rest]).float().mean().item()
print(f"accuracy on {len(rest)} pictures of new digits: {acc:.4f}")
