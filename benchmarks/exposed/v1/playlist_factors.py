"""Biased matrix factorisation on a made-up listening survey (score = taste match + biases)."""
import os, random
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn


@dataclass
class Config:
    users: int = 300
    songs: int = 200
    rank: int = 6
    ratings: int = 24000
    batch: int = 256
    lr: float = 5e-3
    weight_decay: float = 3e-5
    epochs: int = 25
    seed: int = int(os.environ.get("SEED", 0))


def survey(cfg):
    g = np.random.default_rng(cfg.seed)
    U = g.normal(size=(cfg.users, 4)); S = g.normal(size=(cfg.songs, 4))
    bu = g.normal(0, 0.8, cfg.users); bs = g.normal(0, 1.0, cfg.songs)
    pairs = g.choice(cfg.users * cfg.songs, cfg.ratings, replace=False)
    u, s = np.divmod(pairs, cfg.songs)
    r = 5 + bu[u] + bs[s] + 0.7 * (U[u] * S[s]).sum(1) + g.normal(0, 0.5, cfg.ratings)
    cut = int(0.85 * cfg.ratings)
    pack = lambda a, dt: (torch.tensor(a[:cut], dtype=dt), torch.tensor(a[cut:], dtype=dt))
    return pack(u, torch.long), pack(s, torch.long), pack(r, torch.float32)


class Factors(nn.Module):
    def __init__(self, cfg, mean):
        super().__init__()
        self.P = nn.Embedding(cfg.users, cfg.rank)
        self.Q = nn.Embedding(cfg.songs, cfg.rank)
        self.bu = nn.Embedding(cfg.users, 1)
        self.bs = nn.Embedding(cfg.songs, 1)
        self.mean = nn.Parameter(mean.clone())
        # start from "everyone scores the average"
        for table in (self.bu, self.bs):
            nn.init.zeros_(table.weight)
        for table in (self.P, self.Q):
            nn.init.constant_(table.weight, 0.1)

    def forward(self, u, s):
        match = torch.sum(self.P(u) * self.Q(s), dim=-1)
        return self.mean + self.bu(u).squeeze(-1) + self.bs(s).squeeze(-1) + match


class Trainer:
    def __init__(self, cfg):
        self.cfg = cfg
        random.seed(cfg.seed); np.random.seed(cfg.seed); torch.manual_seed(cfg.seed)
        (self.u, self.ut), (self.s, self.st), (self.r, self.rt) = survey(cfg)
        self.model = Factors(cfg, self.r.mean())
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)

    def epoch(self):
        total = 0.
        for b in torch.randperm(len(self.u)).split(self.cfg.batch):
            self.opt.zero_grad()
            loss = nn.functional.mse_loss(self.model(self.u[b], self.s[b]), self.r[b])
            loss.backward()
            self.opt.step()
            total += loss.item() * len(b)
        return total / len(self.u)

    @torch.no_grad()
    def r2(self):
        res = self.rt - self.model(self.ut, self.st)
        return 1 - (res.var(unbiased=False) / self.rt.var(unbiased=False)).item()

    def fit(self):
        for e in range(self.cfg.epochs):
            mse = self.epoch()
            print(f"{e:3d}  train mse {mse:7.4f}   unseen pairs R2 {self.r2():.4f}")


Trainer(Config()).fit()
