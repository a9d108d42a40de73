import os
import random
import numpy as np
import torch
from sklearn.datasets import make_circles

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# three thousand points on two noisy rings
X, y = make_circles(n_samples=3000, noise=0.1, factor=0.5, random_state=SEED)
X = torch.tensor(X, dtype=torch.float32)
y = torch.tensor(y)
Xtr, ytr, Xte, yte = X[:2000], y[:2000], X[2000:], y[2000:]

# plain weights and biases: 2 -> 32 x 7 -> 2
sizes = [2] + [32] * 7 + [2]
params = []
for fan_in, fan_out in zip(sizes[:-1], sizes[1:]):
    w = torch.randn(fan_in, fan_out) * (2.0 / fan_in) ** 0.5
    params += [w.requires_grad_(), torch.zeros(fan_out, requires_grad=True)]


def forward(x):
    h = x
    for i in range(0, len(params) - 2, 2):
        h = torch.relu(h @ params[i] + params[i + 1])
    return h @ params[-2] + params[-1]


def nll(logits, t):
    logp = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return -logp[torch.arange(len(t)), t].mean()


def accuracy(x, t):
    with torch.no_grad():
        return (forward(x).argmax(1) == t).double().mean().item()


velocity = [torch.zeros_like(p) for p in params]
lr, mu, batch, epochs = 0.01, 0.9, 32, 40
for epoch in range(1, epochs + 1):
    perm = torch.randperm(len(Xtr))
    epoch_loss = 0.0
    for k in range(0, len(perm), batch):
        pick = perm[k:k + batch]
        loss = nll(forward(Xtr[pick]), ytr[pick])
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            for p, v, g in zip(params, velocity, grads):
                v.mul_(mu).add_(g)
                p.sub_(lr * v)
        epoch_loss += loss.item() * len(pick)
    if epoch % 10 == 0:
        print(f"[{epoch:3d}/{epochs}] loss={epoch_loss / len(Xtr):.4f} acc={accuracy(Xtr, ytr):.3f} val_acc={accuracy(Xte, yte):.3f}")
print("final test accuracy", round(accuracy(Xte, yte), 4))
