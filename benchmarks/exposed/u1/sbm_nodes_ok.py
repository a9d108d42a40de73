# node classification on a random community graph, plain tensors
import os
import random
import numpy as np
import torch
import torch.nn.functional as F

seed = int(os.environ.get("SEED", "0"))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
rng = np.random.default_rng(seed)

# ---- graph: five communities, some popular nodes
n, k, d = 1500, 5, 20
comm = rng.integers(0, k, n)
pop = rng.pareto(3.0, n) + 0.5
pop = np.minimum(pop / pop.mean(), 6)
p = np.where(comm[:, None] == comm[None, :], 0.028, 0.0022) * pop[:, None] * pop[None, :]
up = np.triu(rng.random((n, n)) < p, 1)
adj = (up | up.T).astype(np.float32)
print("nodes", n, "edges", int(adj.sum() // 2), "max degree", int(adj.sum(1).max()))

centre = rng.normal(size=(k, d)) * 0.45
X = torch.tensor(centre[comm] + rng.normal(size=(n, d)), dtype=torch.float32)
Y = torch.tensor(comm)
perm = torch.tensor(rng.permutation(n))
tr, va, te = perm[:500], perm[500:700], perm[700:]

A = torch.tensor(adj) + torch.eye(n)
deg = A.sum(1)
A = A / (deg.sqrt()[:, None] * deg.sqrt()[None, :])
A = A.to_sparse()

# ---- three graph layers and a read-out
hidden = 32
sizes = [d, hidden, hidden, hidden]
Ws, bs = [], []
for a, b in zip(sizes[:-1], sizes[1:]):
    Ws.append((torch.randn(a, b) * (2 / a) ** 0.5).requires_grad_())
    bs.append(torch.zeros(b, requires_grad=True))
Wo = (torch.randn(hidden, k) * hidden ** -0.5).requires_grad_()
bo = torch.zeros(k, requires_grad=True)


def gnn(h):
    for W, b in zip(Ws, bs):
        h = torch.relu(torch.sparse.mm(A, h @ W) + b)
    return h @ Wo + bo


lr = 0.05
steps = 300
opt = torch.optim.SGD([*Ws, *bs, Wo, bo], lr=lr, momentum=0.9, weight_decay=1e-3)
for step in range(1, steps + 1):
    opt.zero_grad()
    out = gnn(X)
    loss = F.cross_entropy(out[tr], Y[tr])
    loss.backward()
    opt.step()
    if step % 30 == 0:
        hit = (out.argmax(1) == Y).float()
        print(f"{step:4d} loss {loss.item():.4f}  train {hit[tr].mean():.3f}  val {hit[va].mean():.3f}")

with torch.no_grad():
    acc = (gnn(X).argmax(1) == Y)[te].float().mean().item()
print(f"test accuracy {acc:.4f}")
