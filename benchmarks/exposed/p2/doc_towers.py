# Two-tower retrieval: LSTM over the query, bag of embeddings over the document,
# in-batch negatives (InfoNCE). Evaluated by recall@k over a held-out collection.
import os, random, math
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

VOCAB, TOPICS = 500, 60
rng = np.random.default_rng(SEED)
# every topic has its own words for documents and other ones (abbreviations, slang) for queries
doc_words = np.stack([rng.choice(np.arange(50, 350), 10, replace=False) for _ in range(TOPICS)])
query_words = np.stack([rng.choice(np.arange(350, 500), 5, replace=False) for _ in range(TOPICS)])


def corpus(n):
    q = np.zeros((n, 6), dtype=np.int64)
    d = np.zeros((n, 20), dtype=np.int64)
    for i in range(n):
        t = rng.choice(TOPICS, 3, replace=False)
        q[i] = np.concatenate([rng.choice(query_words[k], 2, replace=False) for k in t])
        d[i] = np.concatenate([rng.choice(doc_words[k], 5, replace=False) for k in t] + [rng.integers(1, 50, 5)])
        rng.shuffle(d[i])
    return torch.from_numpy(q), torch.from_numpy(d)


class QueryTower(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, 48)
        self.lstm = nn.LSTM(48, 64, batch_first=True)
        self.proj = nn.Linear(64, dim)

    def forward(self, q):
        out, _ = self.lstm(self.emb(q))
        return F.normalize(self.proj(out.mean(1)), dim=-1)


class DocTower(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.emb = nn.EmbeddingBag(VOCAB, 64, mode="mean")
        self.mlp = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, dim))

    def forward(self, d):
        return F.normalize(self.mlp(self.emb(d)), dim=-1)


q_train, d_train = corpus(6000)
q_test, d_test = corpus(500)
q_loader = DataLoader(TensorDataset(q_train), batch_size=100, shuffle=True)
d_loader = DataLoader(TensorDataset(d_train), batch_size=100, shuffle=True)

q_net, d_net = QueryTower(48), DocTower(48)
log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
params = list(q_net.parameters()) + list(d_net.parameters()) + [log_scale]
opt = torch.optim.Adam(params, lr=3e-3)


def recall(k):
    with torch.no_grad():
        sim = q_net(q_test) @ d_net(d_test).T
    top = sim.topk(k, dim=1).indices
    return (top == torch.arange(len(q_test))[:, None]).any(1).float().mean().item()


for epoch in range(10):
    total = 0.0
    for (q,), (d,) in zip(q_loader, d_loader):
        logits = log_scale.exp().clamp(max=100) * q_net(q) @ d_net(d).T
        target = torch.arange(len(q))
        loss = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
        opt.zero_grad(); loss.backward(); opt.step()
        total += loss.item()
    print(f"epoch {epoch + 1}: loss {total / len(q_loader):.3f}  recall@1 {recall(1):.3f}  recall@10 {recall(10):.3f}")
