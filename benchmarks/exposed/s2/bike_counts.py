"""Hourly bike rentals as counts: embeddings for the calendar, a net on the weather, Poisson likelihood."""
import os
import random
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F

CATS = ["hr", "mnth", "weekday", "weathersit", "workingday", "holiday"]
NUMS = ["temp", "atemp", "hum", "windspeed"]


class CountModel(nn.Module):
    """Expected number of bikers per hour."""

    def __init__(self, sizes, n_num):
        super().__init__()
        self.embs = nn.ModuleList(nn.Embedding(n, min(8, n)) for n in sizes)
        width = sum(e.embedding_dim for e in self.embs) + n_num
        self.mlp = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, cats, nums):
        e = [emb(cats[:, j]) for j, emb in enumerate(self.embs)]
        return self.mlp(torch.cat(e + [nums], dim=1)).squeeze(1).exp()


def load(seed):
    df = pd.read_csv(Path(os.environ["DATA"]) / "bikeshare.csv")
    days = np.random.RandomState(seed).permutation(df["day"].unique())
    test = df["day"].isin(days[: len(days) // 4]).to_numpy()  # whole days are held out
    cats = np.column_stack([pd.Categorical(df[c]).codes for c in CATS]).astype(np.int64)
    nums = df[NUMS].to_numpy(np.float32)
    nums = (nums - nums[~test].mean(0)) / nums[~test].std(0)
    pack = lambda m: (torch.from_numpy(cats[m]), torch.from_numpy(nums[m]), torch.tensor(df["bikers"].to_numpy()[m], dtype=torch.float32))
    return pack(~test), pack(test), [int(c.max()) + 1 for c in cats.T]


def r2(model, data):
    model.eval()
    with torch.no_grad():
        pred = model(data[0], data[1])
    return 1 - ((pred - data[2]) ** 2).mean().item() / data[2].var(unbiased=False).item()


def main(epochs=30, batch=128, lr=4e-3):
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    train, test, sizes = load(seed)
    model = CountModel(sizes, len(NUMS))
    opt = torch.optim.Adam(model.parameters(), lr=lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    for epoch in range(epochs):
        model.train()
        seen = 0.0
        for idx in torch.randperm(len(train[2])).split(batch):
            cats, nums, y = (t[idx] for t in train)
            loss = F.poisson_nll_loss(model(cats, nums), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            seen += loss.item() * len(idx)
        sched.step()
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1:2d}  nll {seen / len(train[2]):10.3f}  R2 on held-out days {r2(model, test):.4f}")


if __name__ == "__main__":
    main()
