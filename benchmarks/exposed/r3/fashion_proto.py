"""Prototypical networks (Snell et al. 2017): trained on seven kinds of clothes, tested 5-shot on three never seen."""
import gzip
import os
import random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED), np.random.seed(SEED), torch.manual_seed(SEED)
EPISODES, LR, SHOT, QUERY, CH = 500, 3e-3, 5, 8, 24
NEW = [3, 5, 8]           # dress, sandal, bag

path = os.environ["DATA"] + "/fashion-mnist/train-"
with gzip.open(path + "images-idx3-ubyte.gz") as f:
    x = np.frombuffer(f.read(16 + 784 * 12000), np.uint8, offset=16).reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) / 255.0
with gzip.open(path + "labels-idx1-ubyte.gz") as f:
    y = np.frombuffer(f.read(8 + 12000), np.uint8, offset=8)
x = torch.tensor((x - 0.29) / 0.33, dtype=torch.float32)
pools = {c: x[torch.tensor(np.where(y == c)[0])] for c in range(10)}
old = [c for c in range(10) if c not in NEW]


class Embed(nn.Module):
    def __init__(self):
        super().__init__()
        layers, c = [], 1
        for _ in range(3):
            layers += [nn.Conv2d(c, CH, 3, padding=1), nn.GroupNorm(4, CH), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            c = CH
        self.body = nn.Sequential(*layers, nn.Flatten())

    def forward(self, x):
        return self.body(x)


def episode(classes, flip):
    support, query = [], []
    for c in classes:
        pick = pools[c][torch.randint(len(pools[c]), (SHOT + QUERY,))]
        if flip and random.random() < 0.5:
            pick = pick.flip(-1)
        support.append(pick[:SHOT])
        query.append(pick[SHOT:])
    target = torch.arange(len(classes)).repeat_interleave(QUERY)
    return torch.cat(support), torch.cat(query), target


def logits(net, support, query, n):
    proto = net(support).view(n, SHOT, -1).mean(1)
    return -torch.cdist(net(query), proto).pow(2) / 10


net = Embed()
opt = torch.optim.Adam(net.parameters(), lr=LR)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPISODES)
seen = []
for ep in range(1, EPISODES + 1):
    s, q, t = episode(random.sample(old, 5), True)
    out = logits(net, s, q, 5)
    loss = nn.functional.cross_entropy(out, t)
    opt.zero_grad()
    loss.backward()
    opt.step()
    decay.step()
    seen.append((loss.item(), (out.argmax(1) == t).float().mean().item()))
    if ep % 50 == 0:
        l, a = np.mean(seen[-50:], 0)
        print(f"episode {ep:4d} loss {l:.4f} accuracy {a:.4f}")

net.eval()
with torch.no_grad():
    hits = []
    for _ in range(150):
        s, q, t = episode(NEW, False)
        hits.append((logits(net, s, q, 3).argmax(1) == t).float().mean().item())
print(f"new kinds, 3-way {SHOT}-shot accuracy {np.mean(hits):.4f}")
