# biased matrix factorisation, sparse gradients, two optimisers
import os
import random
import numpy as np
import torch
from torch.nn import Embedding, Parameter
from torch.optim import SGD, SparseAdam

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
rs = np.random.RandomState(seed)

USERS, ITEMS, RANK = 500, 300, 4
P, Q = rs.randn(USERS, RANK) * .7, rs.randn(ITEMS, RANK) * .7
ub, ib = rs.randn(USERS) * .4, rs.randn(ITEMS) * .4
popular = rs.zipf(1.6, ITEMS).clip(1, 12)
prob = popular / popular.sum()
cells = {(u, i) for u in range(USERS) for i in rs.choice(ITEMS, rs.randint(25, 90), replace=False, p=prob)}
cells = np.array(sorted(cells))
clean = 3.2 + ub[cells[:, 0]] + ib[cells[:, 1]] + (P[cells[:, 0]] * Q[cells[:, 1]]).sum(1)
stars = clean + rs.randn(len(cells)) * .5
perm = rs.permutation(len(cells))
test, train = perm[:len(perm) // 6], perm[len(perm) // 6:]

U, I, R = torch.tensor(cells[:, 0]), torch.tensor(cells[:, 1]), torch.tensor(stars, dtype=torch.float32)
train_t = torch.tensor(train)

k, epochs, lr, lam, batch = 4, 12, 0.02, 0.02, 100
user, item = Embedding(USERS, k + 1, sparse=True), Embedding(ITEMS, k + 1, sparse=True)
for e in (user, item):
    torch.nn.init.normal_(e.weight, std=.1)
mean = Parameter(torch.tensor(0.))


def predict(u, i):
    a, b = user(u), item(i)
    return mean + a[:, 0] + b[:, 0] + (a[:, 1:] * b[:, 1:]).sum(1), a, b


fast = SparseAdam(list(user.parameters()) + list(item.parameters()), lr=lr)
slow = SGD([mean], lr=.05)
for ep in range(epochs):
    for g in fast.param_groups:
        g["lr"] = lr * .75 ** max(0, ep - epochs // 2)
    se = 0.
    for b in train_t[torch.randperm(len(train_t))].split(batch):
        pred, a, c = predict(U[b], I[b])
        err = pred - R[b]
        loss = err.pow(2).mean() + lam * (a.pow(2).sum(1) + c.pow(2).sum(1)).mean()
        fast.zero_grad(); slow.zero_grad()
        loss.backward()
        fast.step(); slow.step()
        se += err.detach().pow(2).sum().item()
    print("epoch", ep + 1, "train rmse", round((se / len(train)) ** .5, 4))

with torch.no_grad():
    p = predict(U[test], I[test])[0].numpy()
r2 = lambda q: 1 - ((stars[test] - q) ** 2).sum() / ((stars[test] - stars[test].mean()) ** 2).sum()
print(f"{len(train)} ratings; with the true factors R2 would be {r2(clean[test]):.4f}")
print(f"held-out R2 {r2(p):.4f}")
