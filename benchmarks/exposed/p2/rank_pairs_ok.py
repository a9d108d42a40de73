# Pairwise learning to rank (RankNet style): queries with 12 candidate documents, graded relevance.
# Small micro-batches, gradients accumulated over ACCUM of them.
import os, random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader
from sklearn.metrics import ndcg_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
N_DOCS, N_FEAT, ACCUM = 12, 24, 4


def make_queries(n, rng, w):
    x = rng.normal(size=(n, N_DOCS, N_FEAT))
    bm25 = x[..., 0] + 0.6 * x[..., 1] * (x[..., 2] > 0)
    s = bm25 + 0.8 * np.tanh(2 * x[..., 3]) + 0.7 * np.abs(x[..., 4]) + x[..., 5:10] @ w
    s = s + 0.5 * rng.normal(size=s.shape)
    order = s.argsort(1).argsort(1)
    rel = np.select([order >= 11, order >= 9, order >= 6], [3, 2, 1], 0)
    return x.astype("float32"), rel


class QueryDataset(Dataset):
    def __init__(self, x, rel):
        self.x, self.rel = torch.from_numpy(x), torch.from_numpy(rel)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.rel[i]


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(N_FEAT, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, docs):
        return self.net(docs).squeeze(-1)


def ranknet_loss(scores, rel):
    diff = scores.unsqueeze(2) - scores.unsqueeze(1)
    better = (rel.unsqueeze(2) > rel.unsqueeze(1)).float()
    return (F.softplus(-diff) * better).sum() / better.sum()


rng = np.random.default_rng(SEED)
w = rng.normal(size=5) * 0.4
train_dl = DataLoader(QueryDataset(*make_queries(1000, rng, w)), batch_size=8, shuffle=True, drop_last=True)
x_te, rel_te = make_queries(300, rng, w)

model = Scorer()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

optimizer.zero_grad()
for epoch in range(12):
    model.train()
    seen = []
    for step, (docs, rel) in enumerate(train_dl, 1):
        loss = ranknet_loss(model(docs), rel) / ACCUM
        loss.backward()
        seen.append(loss.item() * ACCUM)
        if step % ACCUM == 0:
            optimizer.step()
            optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        s = model(torch.from_numpy(x_te)).numpy()
    print(f"epoch {epoch + 1:2d}  pair loss {np.mean(seen):.4f}  NDCG@5 {ndcg_score(rel_te, s, k=5):.4f}")
