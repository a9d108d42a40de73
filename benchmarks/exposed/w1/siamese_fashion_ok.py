"""
Siamese network with contrastive loss (Hadsell, Chopra, LeCun 2006), after the Keras mnist_siamese example.
Score: nearest-neighbour accuracy of unseen pictures in the learnt space.
"""
import gzip
import os
import random

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

N_TRAIN, N_TEST, MARGIN, PAIRS, EPOCHS = 5000, 2000, 1.0, 128, 12
folder = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(part, n):
    with gzip.open(f"{folder}/{part}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(f"{folder}/{part}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8)
    pick = np.random.permutation(len(x))[:n]
    return torch.tensor(x[pick] / 255.0, dtype=torch.float32), y[pick].astype(int)


x_train, y_train = load("train", N_TRAIN)
x_test, y_test = load("t10k", N_TEST)
mean_img = x_train.mean(0)
x_train, x_test = (x_train - mean_img) / 0.3, (x_test - mean_img) / 0.3
by_class = [np.flatnonzero(y_train == c) for c in range(10)]


def make_pairs(n):
    """half of the pairs of one class, half of two classes"""
    left, right, same = [], [], []
    for k in range(n):
        c = random.randrange(10)
        if k % 2 == 0:
            d = c
        else:
            d = (c + random.randrange(1, 10)) % 10
        left.append(random.choice(by_class[c]))
        right.append(random.choice(by_class[d]))
        same.append(float(c == d))
    return x_train[left], x_train[right], torch.tensor(same)


def euclidean_distance(u, v):
    sq = ((u - v) ** 2).sum(dim=1)
    return torch.sqrt(torch.clamp(sq, min=1e-7))


def contrastive(dist, same):
    pull = same * dist ** 2
    push = (1 - same) * torch.clamp(MARGIN - dist, min=0) ** 2
    return (pull + push).mean()


base = nn.Sequential(
    nn.Linear(784, 128), nn.ReLU(),
    nn.Linear(128, 128), nn.ReLU(),
    nn.Linear(128, 32),
)
opt = torch.optim.RMSprop(base.parameters(), lr=5e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)


@torch.no_grad()
def knn_accuracy(k=5):
    base.eval()
    ref, query = base(x_train), base(x_test)
    near = torch.cdist(query, ref).topk(k, largest=False).indices.numpy()
    votes = np.array([np.bincount(y_train[row], minlength=10).argmax() for row in near])
    return float((votes == y_test).mean())


for epoch in range(EPOCHS):
    base.train()
    total = 0.0
    steps = 2 * N_TRAIN // PAIRS
    for _ in range(steps):
        a, b, same = make_pairs(PAIRS)
        loss = contrastive(euclidean_distance(base(a), base(b)), same)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    sched.step()
    print(f"epoch {epoch + 1:2d}  contrastive loss {total / steps:.4f}")
print(f"5-NN accuracy on unseen pictures: {knn_accuracy():.4f}")
