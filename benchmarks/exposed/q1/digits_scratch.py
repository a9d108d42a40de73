"""Digit images with a network class and a momentum optimiser of our own (autograd only for the gradients)."""
import os
import random
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class Momentum:
    def __init__(self, params, lr=0.05, mu=0.9):
        self.params = list(params)
        self.lr, self.mu = lr, mu
        self.velocity = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.params, self.velocity):
            v.mul_(self.mu).sub_(self.lr * p.grad)
            p.sub_(v)

    def zero_grad(self):
        for p in self.params:
            p.grad = None


class MLP:
    def __init__(self, sizes):
        self.W = [(torch.randn(a, b) * (2.0 / a) ** 0.5).requires_grad_() for a, b in zip(sizes[:-1], sizes[1:])]
        self.b = [torch.zeros(b, requires_grad=True) for b in sizes[1:]]

    def parameters(self):
        return self.W + self.b

    def logits(self, x):
        for i, (W, b) in enumerate(zip(self.W, self.b)):
            x = x @ W + b
            if i < len(self.W) - 1:
                x = torch.tanh(x)
        return x

    def loss(self, x, y):
        z = self.logits(x)
        logp = z - torch.logsumexp(z, dim=1, keepdim=True)
        return -logp[torch.arange(len(y)), y].mean()

    def fit(self, x, y, epochs=30, batch=32, lr=0.02):
        opt = Momentum(self.parameters(), lr=lr)
        self.history = []
        for ep in range(epochs):
            perm = torch.randperm(len(x))
            tot = 0.0
            for i in range(0, len(x), batch):
                b = perm[i:i + batch]
                opt.zero_grad()
                l = self.loss(x[b], y[b])
                l.backward()
                opt.step()
                tot += l.item() * len(b)
            self.history.append(tot / len(x))
        return self

    def predict(self, x):
        with torch.no_grad():
            return self.logits(x).argmax(1)


images, labels = load_digits(return_X_y=True)
images = images / 16.0 - 0.5
Xtr, Xte, ytr, yte = train_test_split(images, labels, test_size=0.3, random_state=SEED, stratify=labels)
Xtr, Xte = torch.tensor(Xtr, dtype=torch.float32), torch.tensor(Xte, dtype=torch.float32)
ytr, yte = torch.tensor(ytr), torch.tensor(yte)

net = MLP([64, 64, 32, 10]).fit(Xtr, ytr)
print("loss first / last epoch: %.3f / %.3f" % (net.history[0], net.history[-1]))
print("train acc: %.4f" % (net.predict(Xtr) == ytr).float().mean().item())
print("test acc: %.4f" % (net.predict(Xte) == yte).float().mean().item())
