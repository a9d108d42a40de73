import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

# ratings log: 400 users, 250 films
n_users, n_items, k_true = 400, 250, 4
P = rng.normal(size=(n_users, k_true)) * 0.6
Q = rng.normal(size=(n_items, k_true)) * 0.6
bu, bi = rng.normal(size=n_users) * 0.3, rng.normal(size=n_items) * 0.4
pairs = rng.choice(n_users * n_items, size=24000, replace=False)
df = pd.DataFrame({"user": pairs // n_items, "item": pairs % n_items})
df["rating"] = (3.4 + bu[df.user] + bi[df.item] + (P[df.user] * Q[df.item]).sum(1)
                + rng.normal(size=len(df)) * 0.3).clip(0.5, 5.5)
train_df, test_df = df.iloc[:20000], df.iloc[20000:]


class Factorizer(nn.Module):
    def __init__(self, n_users, n_items, dim, mean):
        super().__init__()
        self.user = nn.Embedding(n_users, dim)
        self.item = nn.Embedding(n_items, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.mean = mean
        for e in (self.user_bias, self.item_bias):
            nn.init.zeros_(e.weight)
        for e in (self.user, self.item):
            nn.init.normal_(e.weight, std=0.1)

    def forward(self, u, i):
        dot = (self.user(u) * self.item(i)).sum(-1)
        return self.mean + self.user_bias(u).squeeze(-1) + self.item_bias(i).squeeze(-1) + dot


def tensors(frame):
    return (torch.tensor(frame.user.values), torch.tensor(frame.item.values),
            torch.tensor(frame.rating.values, dtype=torch.float32))


u, i, r = tensors(train_df)
ut, it, rt = tensors(test_df)
model = Factorizer(n_users, n_items, 8, float(train_df.rating.mean()))
opt = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-5)

for epoch in range(14):
    order = torch.randperm(len(r))
    sq = 0.0
    for b in order.split(256):
        pred = model(u[b], i[b])
        loss = ((pred - r[b]) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        sq += loss.item() * len(b)
    with torch.no_grad():
        rmse = ((model(ut, it) - rt) ** 2).mean().sqrt().item()
    print(f"epoch {epoch + 1:02d} train rmse {np.sqrt(sq / len(r)):.4f} test rmse {rmse:.4f}")
