"""Learning to order ten documents per query (listwise softmax, synthetic log)."""
import os
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn


@dataclass
class Config:
    queries: int = 1500
    held_out: int = 500
    docs: int = 10
    dim: int = 6
    width: int = 40
    epochs: int = 20
    batch: int = 50
    lr: float = 5e-3
    noise: float = 0.2


class Scorer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(2 * cfg.dim, cfg.width), nn.SiLU(),
            nn.Linear(cfg.width, cfg.width), nn.SiLU(),
        )
        self.score = nn.Linear(cfg.width, 1)

    def forward(self, q, d):
        z = torch.cat([q.unsqueeze(1).expand(-1, d.shape[1], -1), d], dim=-1)
        return self.score(self.trunk(z)).squeeze(-1)


def orthogonal_(module):
    for layer in module:
        if isinstance(layer, nn.Linear):
            w = torch.empty_like(layer.weight)
            nn.init.orthogonal_(w, gain=1.4)
            layer.weight = nn.Parameter(w)


def simulate(cfg, n):
    q = torch.randn(n, cfg.dim)
    d = torch.randn(n, cfg.docs, cfg.dim)
    taste = torch.einsum("nk,ndk->nd", q[:, :3], d[:, :, :3]) - (d[:, :, 3] - q[:, None, 3]).abs() + d[:, :, 4]
    return q, d, taste + cfg.noise * torch.randn_like(taste)


def pair_accuracy(s, rel):
    ds = s.unsqueeze(2) - s.unsqueeze(1)
    dr = rel.unsqueeze(2) - rel.unsqueeze(1)
    return ((ds > 0) == (dr > 0))[dr > 0].float().mean().item()


def main():
    cfg = Config()
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    q, d, rel = simulate(cfg, cfg.queries)
    qv, dv, rv = simulate(cfg, cfg.held_out)

    model = Scorer(cfg)
    orthogonal_(model.trunk)
    optim = torch.optim.Adam(model.parameters(), lr=cfg.lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(optim, cfg.epochs)

    target = torch.softmax(rel, dim=1)
    for epoch in range(cfg.epochs):
        model.train()
        running = []
        for rows in torch.randperm(cfg.queries).split(cfg.batch):
            logp = torch.log_softmax(model(q[rows], d[rows]), dim=1)
            loss = -(target[rows] * logp).sum(1).mean()
            optim.zero_grad()
            loss.backward()
            optim.step()
            running.append(loss.item())
        sched.step()
        if (epoch + 1) % 5 == 0:
            model.eval()
            with torch.no_grad():
                acc = pair_accuracy(model(qv, dv), rv)
            print(f"epoch {epoch + 1}: list loss {np.mean(running):.4f}, held-out pairs in order {acc:.4f}")


if __name__ == "__main__":
    main()
