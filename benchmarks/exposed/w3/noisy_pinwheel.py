import os, random
import numpy as np
import torch

# Four-armed pinwheel whose labels come from careless annotators: 60 % of them were drawn blindly.
# (they are drawn the same way for the test rows, so nobody can be right much more than .55)
seed = int(os.environ.get('SEED', 0))
random.seed(seed); np.random.seed(seed); g = torch.manual_seed(seed)

K, BLIND, N_TRAIN, N_VAL, N_TEST = 4, 0.60, 8000, 2000, 6000


def pinwheel(n):
    arm = torch.randint(K, (n,))
    r = 0.4 + 1.6 * torch.rand(n)
    a = 2 * np.pi * arm / K + 0.9 * r + 0.12 * torch.randn(n)
    xy = torch.stack([r * a.cos(), r * a.sin()], 1)
    told = torch.where(torch.rand(n) < BLIND, torch.randint(K, (n,)), arm)
    return xy, told, arm


xtr, ytr, _ = pinwheel(N_TRAIN)
xva, yva, _ = pinwheel(N_VAL)
xte, yte, arm = pinwheel(N_TEST)
print('right arm would score %.4f on the test labels' % (arm == yte).float().mean())

# weights as plain tensors
width = 40
def lin(i, o):
    return [(torch.randn(i, o) * (2 / i) ** 0.5).requires_grad_(), torch.zeros(o, requires_grad=True)]
W = lin(2, width) + lin(width, width) + lin(width, K)
with torch.no_grad():
    W[4] *= 0.3

def logits(x):
    h = torch.relu(x @ W[0] + W[1])
    h = torch.relu(h @ W[2] + W[3])
    return h @ W[4] + W[5]

def nll(x, y):
    return -torch.log_softmax(logits(x), 1).gather(1, y[:, None]).mean()

lr, epochs, bs, l2 = 0.005, 14, 100, 1e-4
opt = torch.optim.NAdam(W, lr=lr)
sch = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, total_iters=epochs)
for e in range(epochs):
    perm = torch.randperm(N_TRAIN)
    for i in range(0, N_TRAIN, bs):
        j = perm[i:i + bs]
        loss = nll(xtr[j], ytr[j]) + l2 * sum((w ** 2).sum() for w in W[::2])
        opt.zero_grad(); loss.backward(); opt.step()
    sch.step()
    if e % 2 == 1:
        with torch.no_grad():
            print(e + 1, 'train nll %.4f' % nll(xtr, ytr), 'val nll %.4f' % nll(xva, yva))
with torch.no_grad():
    print('test accuracy %.4f' % (logits(xte).argmax(1) == yte).float().mean())
