"""Prototypical network on Fashion-MNIST: five of the ten classes an episode, five examples of each to compare with."""
import gzip, os, random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")
WAY, SHOT, QUERY = 5, 5, 12
EPISODES, LR, WIDTH = 800, 3e-3, 24
CLASSES = range(10)


def idx(name, head):
    with gzip.open(os.path.join(ROOT, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=head)


def load(split):
    x = idx(f"{split}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    return x, idx(f"{split}-labels-idx1-ubyte.gz", 8)


def by_class(x, y, classes, cap):
    return {c: F.avg_pool2d(torch.tensor(x[np.where(y == c)[0][:cap]]).float().div(255).sub(.286).div(.353), 2) for c in classes}


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(4, o), nn.ReLU(), nn.MaxPool2d(2))


net = nn.Sequential(block(1, WIDTH), block(WIDTH, 2 * WIDTH), nn.Flatten(), nn.Linear(18 * WIDTH, 32))


def episode(pool, way):
    classes = random.sample(sorted(pool), way)
    sup, qry = [], []
    for c in classes:
        pick = torch.randperm(len(pool[c]))[:SHOT + QUERY]
        sup.append(pool[c][pick[:SHOT]]); qry.append(pool[c][pick[SHOT:]])
    z = net(torch.cat(sup + qry))
    proto = z[:way * SHOT].view(way, SHOT, -1).mean(1)
    logits = -torch.cdist(z[way * SHOT:], proto).pow(2)
    return logits, torch.arange(way).repeat_interleave(QUERY)


xtr, ytr = load("train")
xte, yte = load("t10k")
train_pool = by_class(xtr, ytr, CLASSES, 2000)
test_pool = by_class(xte, yte, CLASSES, 1000)

opt = torch.optim.Adam(net.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.StepLR(opt, max(1, EPISODES // 3), gamma=.4)
run = None
for e in range(1, EPISODES + 1):
    logits, y = episode(train_pool, WAY)
    loss = F.cross_entropy(logits, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    run = loss.item() if run is None else .95 * run + .05 * loss.item()
    if e % 50 == 0:
        print(f"episode {e:4d}  smoothed loss {run:.3f}  this one {loss.item():.3f}")

net.eval()
with torch.no_grad():
    hits = [(lg.argmax(1) == y).float().mean().item() for lg, y in (episode(test_pool, WAY) for _ in range(400))]
print(f"test images, 5-way 5-shot accuracy {np.mean(hits):.4f} +- {1.96 * np.std(hits) / 400 ** .5:.4f}")
