"""Semi-supervised node classification with a two-layer GCN (Kipf & Welling 2017)
on a stochastic block model: 5 communities, 20 labelled nodes in each."""
import os, random
import numpy as np, torch
import torch.nn as nn, torch.nn.functional as F

S = int(os.environ.get("SEED", 0))
random.seed(S); np.random.seed(S); torch.manual_seed(S)

n, k, d = 1500, 5, 300
P_IN, P_OUT = 0.015, 0.0020

y = np.random.randint(0, k, n)
prob = np.where(y[:, None] == y[None], P_IN, P_OUT)
A = np.triu(np.random.rand(n, n) < prob, 1)
A = (A | A.T).astype(np.float32)
# bag-of-words: each class favours a few words, most are shared chatter
words = np.random.rand(k, d) * 0.02 + 0.01
for c in range(k):
    words[c, np.random.choice(d, 12, replace=False)] += 0.05
X = (np.random.rand(n, d) < words[y]).astype(np.float32)
X /= np.maximum(X.sum(1, keepdims=True), 1)

A_hat = A + np.eye(n, dtype=np.float32)
dinv = 1 / np.sqrt(A_hat.sum(1))
A_hat = torch.from_numpy(dinv[:, None] * A_hat * dinv[None]).to_sparse()
X, Y = torch.from_numpy(X), torch.from_numpy(y)

perm = np.random.permutation(n)
train = torch.tensor(np.concatenate([perm[y[perm] == c][:20] for c in range(k)]))
rest = torch.tensor(np.setdiff1d(perm, train.numpy()))
test = rest[torch.randperm(len(rest))[:1000]]


class GCN(nn.Module):
    def __init__(self, hid=32, p=0.6):
        super().__init__()
        self.w1, self.w2, self.p = nn.Linear(d, hid, bias=False), nn.Linear(hid, k), p
        nn.init.xavier_uniform_(self.w1.weight)
        nn.init.xavier_uniform_(self.w2.weight)

    def forward(self, x):
        x = F.dropout(x, self.p, self.training)
        h = F.relu(torch.sparse.mm(A_hat, self.w1(x)))
        h = F.dropout(h, self.p, self.training)
        return torch.sparse.mm(A_hat, self.w2(h))


gcn = GCN()
opt = torch.optim.Adam([
    {"params": gcn.w1.parameters(), "weight_decay": 5e-4},
    {"params": gcn.w2.parameters(), "weight_decay": 0.0},
], lr=0.01)

EPOCHS = 200
for ep in range(EPOCHS):
    gcn.train()
    opt.zero_grad()
    loss = F.cross_entropy(gcn(X)[train], Y[train])
    loss.backward()
    opt.step()
    if (ep + 1) % 20 == 0:
        gcn.eval()
        with torch.no_grad():
            pred = gcn(X).argmax(1)
        print("epoch %3d  loss %.3f  train %.3f  test %.3f" % (
            ep + 1, loss.item(), (pred[train] == Y[train]).float().mean(), (pred[test] == Y[test]).float().mean()))
