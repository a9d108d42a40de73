"""Implicit-feedback recommender with pairwise ranking (BPR) on synthetic play counts."""
import os
import numpy as np
import torch
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

U, I, K = 400, 250, 16
taste = rng.normal(size=(U, 5))
style = rng.normal(size=(I, 5))
pop = 0.7 * rng.normal(size=I)
logits = 1.2 * taste @ style.T + pop - 3.0
plays = rng.random((U, I)) < 1 / (1 + np.exp(-logits))

users, items = np.nonzero(plays)
order = rng.permutation(len(users))
cut = int(0.8 * len(order))
tr_u, tr_i = users[order[:cut]], items[order[:cut]]
te_u, te_i = users[order[cut:]], items[order[cut:]]
seen = np.zeros_like(plays)
seen[tr_u, tr_i] = True

P = (0.1 * torch.randn(U, K)).requires_grad_()
Q = (0.1 * torch.randn(I, K)).requires_grad_()
b = torch.zeros(I, requires_grad=True)
optimizer = torch.optim.Adam([P, Q, b], lr=5e-3)
reg = 2e-3


def score(u, i):
    return (P[u] * Q[i]).sum(-1) + b[i]


def auc():
    """probability that a held-out play ranks above an item never played"""
    with torch.no_grad():
        S = (P @ Q.T + b).numpy()
    neg = rng.integers(0, I, (len(te_u), 20))
    ok = ~plays[te_u[:, None], neg]
    win = S[te_u, te_i][:, None] > S[te_u[:, None], neg]
    return win[ok].mean()


for epoch in range(1, 21):
    perm = rng.permutation(len(tr_u))
    total, n = 0.0, 0
    for s in range(0, len(perm), 256):
        k = perm[s:s + 256]
        u, i = tr_u[k], tr_i[k]
        j = rng.integers(0, I, len(k))
        keep = ~seen[u, j]
        u, i, j = (torch.from_numpy(a[keep]) for a in (u, i, j))
        diff = score(u, i) - score(u, j)
        loss = -F.logsigmoid(diff).mean()
        loss = loss + reg * (P[u].pow(2).sum(1) + Q[i].pow(2).sum(1) + Q[j].pow(2).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item(); n += 1
    if epoch % 4 == 0:
        print(f"epoch {epoch:3d}   loss {total / n:+.4f}   held-out AUC {auc():.4f}")
