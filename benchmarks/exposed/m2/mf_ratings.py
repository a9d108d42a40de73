import argparse, os, random
import numpy as np
import torch
import torch.nn as nn

p = argparse.ArgumentParser()
p.add_argument("--dim", type=int, default=4)
p.add_argument("--epochs", type=int, default=14)
p.add_argument("--lr", type=float, default=0.03)
p.add_argument("--l2", type=float, default=0.004)
args = p.parse_args()
SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# ratings 1..5 from 500 users over 300 items, long-tailed popularity
U, I, N = 400, 250, 26000
pu, qi = np.random.randn(U, 4) * 0.45, np.random.randn(I, 4) * 0.8
bu, bi = np.random.randn(U) * 0.4, np.random.randn(I) * 0.5
pop = 1 / (np.arange(I) + 15.0); pop /= pop.sum()
pairs = np.unique(np.stack([np.random.randint(0, U, N), np.random.choice(I, N, p=pop)], 1), axis=0)
np.random.shuffle(pairs)
r = 3.4 + bu[pairs[:, 0]] + bi[pairs[:, 1]] + (pu[pairs[:, 0]] * qi[pairs[:, 1]]).sum(1) + 0.6 * np.random.randn(len(pairs))
r = np.clip(np.round(r), 1, 5).astype(np.float32)
pairs, r = torch.tensor(pairs), torch.tensor(r)
cut = int(0.85 * len(r))


class BiasedMF(nn.Module):
    def __init__(self, n_users, n_items, dim, mean):
        super().__init__()
        self.mean = mean
        self.P, self.Q = nn.Embedding(n_users, dim), nn.Embedding(n_items, dim)
        self.bu, self.bi = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)
        nn.init.normal_(self.P.weight, 0, 0.1); nn.init.normal_(self.Q.weight, 0, 0.1)
        nn.init.zeros_(self.bu.weight); nn.init.zeros_(self.bi.weight)

    def forward(self, u, i):
        self.used = (self.P(u), self.Q(i), self.bu(u), self.bi(i))
        P, Q, a, b = self.used
        return self.mean + (P * Q).sum(1) + a.squeeze(1) + b.squeeze(1)

    def penalty(self):
        # on the rows of this batch only
        return sum(t.pow(2).sum(1).mean() for t in self.used)


model = BiasedMF(U, I, args.dim, r[:cut].mean().item())
opt = torch.optim.Adam(model.parameters(), lr=args.lr)
sched = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, total_iters=args.epochs)
tr, te = pairs[:cut], pairs[cut:]
for ep in range(args.epochs):
    perm = torch.randperm(cut)
    se = 0.0
    for k in range(0, cut, 256):
        idx = perm[k:k + 256]
        pred = model(tr[idx, 0], tr[idx, 1])
        mse = ((pred - r[idx]) ** 2).mean()
        loss = mse + args.l2 * 5 * model.penalty()
        opt.zero_grad()
        loss.backward()
        opt.step()
        se += mse.item() * len(idx)
    sched.step()
    with torch.no_grad():
        rmse = (model(te[:, 0], te[:, 1]).clamp(1, 5) - r[cut:]).pow(2).mean().sqrt().item()
    print(f"epoch {ep + 1:2d}  train rmse {(se / cut) ** 0.5:.4f}  test rmse {rmse:.4f}")
