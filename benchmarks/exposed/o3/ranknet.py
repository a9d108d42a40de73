"""Learning to rank: pairwise logistic loss within queries, NDCG@5 on unseen queries."""
import os, random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
D, DOCS = 20, 16
w = np.random.randn(D) / np.sqrt(D)
w2 = np.random.randn(D) / np.sqrt(D)


def make_queries(n):
    # every query shifts all of its documents' relevance by its own amount: only the order inside a query means anything
    X = np.random.randn(n, DOCS, D)
    util = X @ w + 0.7 * np.tanh(2 * X @ w2) + 0.4 * np.random.randn(n, DOCS)
    rel = np.argsort(np.argsort(util, 1), 1) // (DOCS // 4)
    X = X + 0.3 * np.random.randn(n, 1, D)
    return torch.tensor(X, dtype=torch.float32), torch.tensor(rel, dtype=torch.float32)


Xtr, Rtr = make_queries(700)
Xte, Rte = make_queries(300)


def ndcg(scores, rel, k=5):
    disc = 1 / torch.log2(torch.arange(2, k + 2).float())
    top = rel.gather(1, scores.argsort(1, descending=True))[:, :k]
    ideal = rel.sort(1, descending=True).values[:, :k]
    return (((2 ** top - 1) * disc).sum(1) / ((2 ** ideal - 1) * disc).sum(1)).mean().item()


class Scorer(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(D, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))

    def forward(self, x):
        return self.net(x)[..., 0]


def pairwise(s, r):
    ds = s[:, :, None] - s[:, None, :]
    better = (r[:, :, None] > r[:, None, :]).float()
    gap = (r[:, :, None] - r[:, None, :]).clamp(min=0)
    return (nn.functional.softplus(-ds) * better * gap).sum() / (better * gap).sum()


model = Scorer()
opt = torch.optim.RMSprop(model.parameters(), lr=2e-3, weight_decay=3e-4)
sch = torch.optim.lr_scheduler.ExponentialLR(opt, 0.93)
print("before training NDCG@5 %.3f" % ndcg(model(Xte).detach(), Rte))
for epoch in range(30):
    tot = 0.
    perm = torch.randperm(len(Xtr))
    for b in perm.split(20):
        loss = pairwise(model(Xtr[b]), Rtr[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item()
    sch.step()
    if epoch % 6 == 5:
        with torch.no_grad():
            print("epoch", epoch + 1, "pair loss %.4f" % (tot / 35), "NDCG@5 train %.4f test %.4f" % (ndcg(model(Xtr), Rtr), ndcg(model(Xte), Rte)))
print("final NDCG@5 %.4f" % ndcg(model(Xte).detach(), Rte))
