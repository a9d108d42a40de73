"""
Metric learning on the sklearn digits with raw tensors only.
Two layers map an image to a point in R^8; equal digits are pulled together, different
ones pushed `margin` apart (Hadsell et al.). Judged by nearest-neighbour accuracy.
"""
import os, random
import numpy as np, torch
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
perm = np.random.permutation(len(X))
X = torch.tensor(X[perm] / 16.0, dtype=torch.float32)
y = torch.tensor(y[perm])
n_train = 1200
Xtr, ytr, Xte, yte = X[:n_train], y[:n_train], X[n_train:], y[n_train:]
centre = Xtr.mean(0)
Xtr, Xte = (Xtr - centre) * 2, (Xte - centre) * 2

hid, dim, margin = 96, 8, 2.0
w1 = (torch.randn(64, hid) * (2 / 64) ** 0.5).requires_grad_()
b1 = torch.zeros(hid, requires_grad=True)
w2 = (torch.randn(hid, dim) * (1 / hid) ** 0.5).requires_grad_()
b2 = torch.zeros(dim, requires_grad=True)
params = [w1, b1, w2, b2]
velocity = [torch.zeros_like(p) for p in params]


def embed(x):
    return torch.relu(x @ w1 + b1) @ w2 + b2


def distances(a, b):
    sq = (a[:, None, :] - b[None, :, :]).pow(2).sum(-1)
    return torch.sqrt(sq + 1e-8)


def contrastive(z, t):
    d = distances(z, z)
    same = (t[:, None] == t[None, :]).float()
    off = 1.0 - torch.eye(len(t))              # a point is no pair with itself
    pull = same * d.pow(2)
    push = (1 - same) * torch.relu(margin - d).pow(2)
    n_same = (same * off).sum().clamp(min=1)
    n_diff = (1 - same).sum().clamp(min=1)
    return (pull * off).sum() / n_same + (push * off).sum() / n_diff


def knn_accuracy():
    with torch.no_grad():
        d = distances(embed(Xte), embed(Xtr))
        near = d.argmin(1)
        return (ytr[near] == yte).float().mean().item()


lr, mom, batch = 0.05, 0.9, 100
print("before training: 1-nn accuracy %.3f" % knn_accuracy())
for epoch in range(1, 61):
    if epoch == 45:
        lr /= 5
    order = torch.randperm(n_train)
    tot = 0.0
    for i in range(0, n_train, batch):
        j = order[i:i + batch]
        loss = contrastive(embed(Xtr[j]), ytr[j])
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            for p, g, v in zip(params, grads, velocity):
                v.mul_(mom).add_(g)
                p.sub_(lr * v)
        tot += loss.item()
    if epoch % 10 == 0:
        print("epoch %2d  loss %.4f  1-nn accuracy %.3f" % (epoch, tot * batch / n_train, knn_accuracy()))
