# Forward model of a planar two-link arm, learned with nothing but tensors and autograd.
import os, random, math
import numpy as np
import torch

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

L1, L2 = 1.0, 0.7
N, H, B = 4000, 48, 50
lr, epochs = 0.05, 30


def arm(q):
    x = L1 * torch.cos(q[:, 0]) + L2 * torch.cos(q[:, 0] + q[:, 1])
    y = L1 * torch.sin(q[:, 0]) + L2 * torch.sin(q[:, 0] + q[:, 1])
    return torch.stack([x, y], 1)


q = (torch.rand(N + 1000, 2) * 2 - 1) * torch.tensor([math.pi / 2, math.pi / 2])
t = arm(q) + 0.01 * torch.randn(N + 1000, 2)
mu, sd = t[:N].mean(0), t[:N].std(0)
t = (t - mu) / sd
qtr, ttr, qte, tte = q[:N], t[:N], q[N:], t[N:]

W1 = torch.randn(2, H) / math.sqrt(2)
b1 = torch.zeros(H)
W2 = torch.randn(H, H) / math.sqrt(H)
b2 = torch.zeros(H)
W3 = torch.randn(H, 2) / math.sqrt(H)
b3 = torch.zeros(2)
params = [W1, b1, W2, b2, W3, b3]
for p in params:
    p.requires_grad_(True)


def net(x):
    h = torch.tanh(x @ W1 + b1)
    h = torch.tanh(h @ W2 + b2)
    return h @ W3 + b3


def r2(x, y):
    with torch.no_grad():
        e = net(x) - y
        return 1 - (e ** 2).sum().item() / ((y - y.mean(0)) ** 2).sum().item()


for ep in range(epochs):
    order = torch.randperm(N)
    tot = 0.0
    for i in range(0, N, B):
        j = order[i:i + B]
        loss = ((net(qtr[j]) - ttr[j]) ** 2).mean()
        for p in params:
            p.grad = None
        loss.backward()
        with torch.no_grad():
            for p in params:
                p -= lr * p.grad
        tot += loss.item() * len(j)
    if ep % 5 == 4:
        print("epoch %2d  mse %.4f  r2 on new poses %.4f" % (ep + 1, tot / N, r2(qte, tte)))

print("final r2 %.4f" % r2(qte, tte))
