"""Learning to rank search results: 24 candidates per query, listwise loss on the graded judgements."""
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N_DOCS, N_FEATS = 24, 18


def sample_queries(n, rng):
    """Features per (query, document): text match scores, click rates, freshness, lengths, and so on."""
    x = rng.normal(0, 1, (n, N_DOCS, N_FEATS)).astype(np.float32)
    x[..., 14:] = rng.normal(0, 1, (n, 1, 4))               # query features
    kind = np.tanh(x[..., 14] - x[..., 15])
    u = (1.0 * x[..., 0] + 0.8 * np.maximum(x[..., 1], x[..., 2]) + 0.9 * kind * x[..., 3]
         - 0.6 * np.abs(x[..., 4]) + 0.7 * x[..., 5] * (x[..., 6] > 0) + 0.5 * (1 - kind) * x[..., 7])
    u = u + rng.normal(0, 0.5, u.shape)
    rank = (-u).argsort(1).argsort(1)
    grade = np.select([rank < 2, rank < 5, rank < 9], [3, 2, 1], 0)
    return torch.tensor(x), torch.tensor(grade, dtype=torch.float32)


def ndcg(scores, grades, k=10):
    disc = 1.0 / torch.log2(torch.arange(k, dtype=torch.float32) + 2)
    gain = 2 ** grades - 1
    got = gain.gather(1, scores.argsort(1, descending=True)[:, :k])
    best = gain.sort(1, descending=True).values[:, :k]
    return ((got * disc).sum(1) / (best * disc).sum(1)).mean().item()


class Scorer(nn.Module):
    def __init__(self, d, hidden=(64, 32)):
        super().__init__()
        layers, last = [], d
        for h in hidden:
            layers += [nn.Linear(last, h), nn.ReLU()]
            last = h
        self.net = nn.Sequential(*layers, nn.Linear(last, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def main():
    rng = np.random.default_rng(SEED)
    x_train, g_train = sample_queries(2400, rng)
    x_test, g_test = sample_queries(600, rng)

    model = Scorer(N_FEATS)
    listnet = nn.KLDivLoss(reduction="batchmean")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-5)

    for epoch in range(1, 17):
        model.train()
        losses = []
        for idx in torch.randperm(len(x_train)).split(32):
            log_p = F.log_softmax(model(x_train[idx]), dim=1)
            target = F.softmax(g_train[idx], dim=1)
            loss = listnet(log_p, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            score = ndcg(model(x_test), g_test)
        print(f"epoch {epoch:2d}  loss {np.mean(losses):.5f}  NDCG@10 {score:.4f}")


if __name__ == "__main__":
    main()
