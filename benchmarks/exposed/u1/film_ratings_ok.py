# Film ratings from user, film and time of day: factorisation with one table per field.
import os, random
import numpy as np
import torch
import torch.nn as nn

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

FIELDS = {"user": 250, "film": 180, "slot": 6}


def simulate(n=30000, rank=4):
    g = np.random.default_rng(seed + 7)
    u, f = g.normal(size=(250, rank)), g.normal(size=(180, rank))
    bu, bf, bs = g.normal(size=250) * 0.5, g.normal(size=180) * 0.6, g.normal(size=6) * 0.2
    ids = np.stack([g.integers(0, 250, n), g.integers(0, 180, n), g.integers(0, 6, n)], 1)
    score = 3.4 + 0.45 * (u[ids[:, 0]] * f[ids[:, 1]]).sum(1) + 0.4 * (bu[ids[:, 0]] + bf[ids[:, 1]]) + bs[ids[:, 2]]
    return torch.from_numpy(ids), torch.from_numpy(score + g.normal(size=n) * 0.4).float()


class Factoriser(nn.Module):
    def __init__(self, fields, dim):
        super().__init__()
        tables, offsets = nn.ModuleDict(), nn.ModuleDict()
        for name, size in fields.items():
            tables[name] = nn.Embedding(size, dim)
            nn.init.normal_(tables[name].weight, std=0.3)
            offsets[name] = nn.Embedding(size, 1)
            nn.init.zeros_(offsets[name].weight)
        self.tables, self.offsets = tables, offsets
        self.names = list(fields)
        self.mix = nn.Linear(dim, 1)
        self.base = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        vecs = [self.tables[n](ids[:, i]) for i, n in enumerate(self.names)]
        offs = sum(self.offsets[n](ids[:, i]) for i, n in enumerate(self.names))
        s = torch.stack(vecs)
        pair = 0.5 * (s.sum(0) ** 2 - (s ** 2).sum(0))      # FM trick
        return (self.base + self.mix(pair) + offs).squeeze(1)


ids, rating = simulate()
perm = torch.randperm(len(ids))
tr, te = perm[:24000], perm[24000:]
model = Factoriser(FIELDS, dim=8)
print("training", sum(p.numel() for p in model.parameters()), "values on", len(tr), "ratings")
EPOCHS, LR = 20, 0.015
opt = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.05)
plan = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, total_iters=EPOCHS)
mse = nn.MSELoss()

for ep in range(EPOCHS):
    tot = 0.0
    for b in tr[torch.randperm(len(tr))].split(200):
        loss = mse(model(ids[b]), rating[b])
        opt.zero_grad(); loss.backward(); opt.step()
        tot += loss.item() * len(b)
    plan.step()
    with torch.no_grad():
        err = mse(model(ids[te]), rating[te])
    print(f"{ep + 1:2d} train mse {tot / len(tr):.4f} test mse {err:.4f} test R2 {1 - err / rating[te].var():.4f}")
