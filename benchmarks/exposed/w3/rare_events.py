"""Rare failures in machine logs: about 3 % of the rows are positive."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from sklearn.metrics import average_precision_score, balanced_accuracy_score

SEED = int(os.environ.get("SEED", 0))
for f in (random.seed, np.random.seed, torch.manual_seed):
    f(SEED)


class Plant:
    """vibration, heat, load, age + three useless sensors; failures come from two different mechanisms"""

    def __init__(self, n):
        x = np.random.randn(n, 7)
        wear = 2.2 * x[:, 0] + 1.8 * x[:, 3]
        heat = 2.5 * np.maximum(x[:, 1], x[:, 2])
        p = 1 / (1 + np.exp(-(wear + heat - 9.0)))
        self.y = (np.random.rand(n) < p).astype(np.float32)
        self.p = p
        self.x = (x * np.array([3, 20, 100, 5, 1, 1, 1]) + np.array([1, 70, 300, 9, 0, 0, 0])).astype(np.float32)


class Trainer:
    lr, epochs, width, batch = 0.006, 8, 16, 256

    def __init__(self, train):
        self.m, self.s = train.x.mean(0), train.x.std(0)
        pos = train.y.mean()
        weight = np.where(train.y > 0, 0.5 / pos, 0.5 / (1 - pos))
        sampler = WeightedRandomSampler(torch.from_numpy(weight), len(weight))
        self.loader = DataLoader(TensorDataset(self.z(train), torch.from_numpy(train.y)), self.batch, sampler=sampler, drop_last=True)
        w = self.width
        self.net = nn.Sequential(nn.Linear(7, w), nn.Tanh(), nn.Linear(w, w), nn.Tanh(), nn.Linear(w, 1), nn.Flatten(0))
        self.opt = torch.optim.RAdam(self.net.parameters(), lr=self.lr, weight_decay=0.05, decoupled_weight_decay=True)
        self.sched = torch.optim.lr_scheduler.PolynomialLR(self.opt, self.epochs * len(self.loader), power=1.0)

    def z(self, d):
        return torch.from_numpy((d.x - self.m) / self.s)

    def fit(self, valid):
        lossf = nn.BCEWithLogitsLoss()
        for ep in range(self.epochs):
            s = 0.0
            for xb, yb in self.loader:
                self.opt.zero_grad()
                l = lossf(self.net(xb), yb)
                l.backward()
                self.opt.step()
                self.sched.step()
                s += float(l.detach())
            print(f"epoch {ep:2d} | resampled bce {s / len(self.loader):.4f} | valid {self.report(valid)}")

    def report(self, d):
        with torch.no_grad():
            o = self.net(self.z(d)).numpy()
        return "balanced acc %.4f  AP %.4f" % (balanced_accuracy_score(d.y, o > 0), average_precision_score(d.y, o))


train, valid, test = Plant(24000), Plant(5000), Plant(15000)
print("positives: %.3f train, %.3f test" % (train.y.mean(), test.y.mean()))
t = Trainer(train)
t.fit(valid)
q = test.p / (test.p + (1 - test.p) * train.y.mean())
print("true risk:  balanced acc %.4f  AP %.4f" % (balanced_accuracy_score(test.y, q > 0.5), average_precision_score(test.y, test.p)))
print("test:", t.report(test))
