"""Rating prediction with biased matrix factorisation (MovieLens-like synthetic ratings)."""
import os
import random
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N_USERS, N_ITEMS, N_RATINGS, K = 600, 400, 30000, 4


def build_ratings():
    rng = np.random.default_rng(SEED)
    U, V = rng.normal(size=(N_USERS, K)), rng.normal(size=(N_ITEMS, K))
    bu, bi = rng.normal(scale=0.35, size=N_USERS), rng.normal(scale=0.45, size=N_ITEMS)
    pop = rng.pareto(1.5, N_ITEMS) + 0.3
    users = rng.integers(0, N_USERS, N_RATINGS)
    items = rng.choice(N_ITEMS, N_RATINGS, p=pop / pop.sum())
    pairs = np.unique(np.stack([users, items], 1), axis=0)
    rng.shuffle(pairs)
    u, i = pairs.T
    r = 3.5 + bu[u] + bi[i] + 0.3 * (U[u] * V[i]).sum(1) + rng.normal(scale=0.5, size=len(u))
    return u, i, np.clip(np.round(r * 2) / 2, 0.5, 5).astype(np.float32)


class Ratings(Dataset):
    def __init__(self, u, i, r):
        self.u, self.i, self.r = map(torch.as_tensor, (u, i, r))

    def __len__(self):
        return len(self.r)

    def __getitem__(self, k):
        return self.u[k], self.i[k], self.r[k]


class BiasedMF(nn.Module):
    def __init__(self, n_users, n_items, dim, mean):
        super().__init__()
        self.user = nn.Embedding(n_users, dim)
        self.item = nn.Embedding(n_items, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.mean = mean
        for emb in (self.user, self.item, self.user_bias, self.item_bias):
            nn.init.normal_(emb.weight, std=0.05)

    def forward(self, u, i):
        dot = (self.user(u) * self.item(i)).sum(1)
        return self.mean + dot + self.user_bias(u).squeeze(1) + self.item_bias(i).squeeze(1)


u, i, r = build_ratings()
n_tr = int(0.8 * len(r))
train = DataLoader(Ratings(u[:n_tr], i[:n_tr], r[:n_tr]), batch_size=256, shuffle=True)
test = Ratings(u[n_tr:], i[n_tr:], r[n_tr:])

model = BiasedMF(N_USERS, N_ITEMS, dim=8, mean=float(r[:n_tr].mean()))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=3e-5)
criterion = nn.MSELoss()

for epoch in range(10):
    model.train()
    sse = 0.0
    for ub, ib, rb in train:
        optimizer.zero_grad()
        loss = criterion(model(ub, ib), rb)
        loss.backward()
        optimizer.step()
        sse += loss.item() * len(rb)
    model.eval()
    with torch.no_grad():
        pred = model(test.u, test.i).clamp(0.5, 5)
        rmse = torch.sqrt(criterion(pred, test.r)).item()
        mae = (pred - test.r).abs().mean().item()
    print(f"epoch {epoch:2d}  train rmse {np.sqrt(sse / n_tr):.4f}  test rmse {rmse:.4f}  mae {mae:.4f}")
