import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# movielens-like explicit ratings
n_users, n_items, n_obs = 500, 300, 30000
pu, qi = np.random.randn(n_users, 4), np.random.randn(n_items, 4)
bu, bi = 0.4 * np.random.randn(n_users), 0.5 * np.random.randn(n_items)
u = np.random.randint(0, n_users, n_obs)
i = np.random.randint(0, n_items, n_obs)
score = 3.4 + bu[u] + bi[i] + 0.35 * (pu[u] * qi[i]).sum(1) + 0.4 * np.random.randn(n_obs)
df = pd.DataFrame({"user": u, "item": i, "rating": np.clip(np.round(score * 2) / 2, 0.5, 5.0)})
df = df.drop_duplicates(["user", "item"])
train_df, valid_df = train_test_split(df, test_size=0.15, random_state=SEED)


class MF(nn.Module):
    def __init__(self, n_users, n_items, k, mean):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, k)
        self.item_emb = nn.Embedding(n_items, k)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.mean = mean
        for e in (self.user_emb, self.item_emb):
            nn.init.normal_(e.weight, std=1.0)
        for e in (self.user_bias, self.item_bias):
            nn.init.zeros_(e.weight)

    def forward(self, u, i):
        dot = (self.user_emb(u) * self.item_emb(i)).sum(1)
        return dot + self.user_bias(u).squeeze(1) + self.item_bias(i).squeeze(1) + self.mean


def to_ds(frame):
    return TensorDataset(torch.tensor(frame.user.values), torch.tensor(frame.item.values),
                         torch.tensor(frame.rating.values, dtype=torch.float32))


train_dl = DataLoader(to_ds(train_df), batch_size=256, shuffle=True)
valid_u, valid_i, valid_r = to_ds(valid_df).tensors
model = MF(n_users, n_items, 8, float(train_df.rating.mean()))
opt = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.1)

for epoch in range(10):
    model.train()
    se = 0.0
    for ub, ib, rb in train_dl:
        loss = ((model(ub, ib) - rb) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        se += loss.item() * len(rb)
    model.eval()
    with torch.no_grad():
        rmse = ((model(valid_u, valid_i) - valid_r) ** 2).mean().sqrt().item()
    print(f"epoch {epoch:2d} train rmse {(se / len(train_df)) ** 0.5:.3f} valid rmse {rmse:.3f}")
