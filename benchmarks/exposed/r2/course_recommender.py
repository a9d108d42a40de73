import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def ratings_frame(rng, n_users=700, n_items=350, n=30000):
    """Long table user / course / stars, popularity skewed as in a real log."""
    pu, qi = rng.normal(0, 1, (n_users, 4)), rng.normal(0, 1, (n_items, 4))
    bu, bi = rng.normal(0, 0.35, n_users), rng.normal(0, 0.45, n_items)
    wu, wi = rng.gamma(1.2, 1, n_users), rng.gamma(0.9, 1, n_items)
    df = pd.DataFrame({"user": rng.choice(n_users, n, p=wu / wu.sum()), "course": rng.choice(n_items, n, p=wi / wi.sum())})
    df = df.drop_duplicates(["user", "course"]).reset_index(drop=True)
    u, i = df.user.values, df.course.values
    s = 3.5 + bu[u] + bi[i] + 0.38 * (pu[u] * qi[i]).sum(1) + rng.normal(0, 0.45, len(df))
    df["stars"] = np.clip(np.round(2 * s) / 2, 0.5, 5)
    return df


class Ratings(Dataset):
    def __init__(self, df):
        self.u = torch.tensor(df.user.values)
        self.i = torch.tensor(df.course.values)
        self.r = torch.tensor(df.stars.values, dtype=torch.float32)

    def __len__(self):
        return len(self.r)

    def __getitem__(self, k):
        return self.u[k], self.i[k], self.r[k]


class MatrixFactorization(nn.Module):
    def __init__(self, n_users, n_items, k=8, mean=3.5):
        super().__init__()
        self.user_emb, self.item_emb = nn.Embedding(n_users, k), nn.Embedding(n_items, k)
        self.user_bias, self.item_bias = nn.Embedding(n_users, 1), nn.Embedding(n_items, 1)
        for e in (self.user_emb, self.item_emb):
            nn.init.normal_(e.weight, std=0.1)
        for e in (self.user_bias, self.item_bias):
            nn.init.zeros_(e.weight)
        self.register_buffer("mean", torch.tensor(mean))

    def forward(self, u, i):
        dot = (self.user_emb(u) * self.item_emb(i)).sum(1)
        return self.mean + self.user_bias(u).squeeze(1) + self.item_bias(i).squeeze(1) + dot


class Recommender:
    def __init__(self, model, lr=5e-3, weight_decay=0.01):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
        self.loss = nn.MSELoss()

    def fit(self, train_dl, valid_dl, epochs):
        for epoch in range(1, epochs + 1):
            self.model.train()
            tot = n = 0
            for u, i, r in train_dl:
                self.optimizer.zero_grad()
                loss = self.loss(self.model(u, i), r)
                loss.backward()
                self.optimizer.step()
                tot, n = tot + loss.item() * len(r), n + len(r)
            print(f"epoch {epoch:2d}: train rmse {(tot / n) ** 0.5:.4f}  valid rmse {self.score(valid_dl):.4f}")
        return self

    @torch.no_grad()
    def score(self, dl):
        self.model.eval()
        se = n = 0
        for u, i, r in dl:
            se += ((self.model(u, i).clamp(0.5, 5) - r) ** 2).sum().item()
            n += len(r)
        return (se / n) ** 0.5


rng = np.random.default_rng(SEED)
df = ratings_frame(rng)
order = rng.permutation(len(df))
cut = int(0.85 * len(df))
train, valid = df.iloc[order[:cut]], df.iloc[order[cut:]]
train_dl = DataLoader(Ratings(train), batch_size=256, shuffle=True)
valid_dl = DataLoader(Ratings(valid), batch_size=2048)
print("ratings", len(df), "density %.3f" % (len(df) / 700 / 350))
model = MatrixFactorization(700, 350, mean=float(train.stars.mean()))
rec = Recommender(model).fit(train_dl, valid_dl, epochs=14)
print(f"final valid rmse {rec.score(valid_dl):.4f} (predicting the mean: {valid.stars.std():.4f})")
