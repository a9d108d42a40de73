"""Node classification on a stochastic block model; the edge list is turned into one sparse matrix.
Few labelled nodes, weak node features, full batch."""
import os, random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F


def make_graph(n=1500, k=5, d=20, p_in=0.03, p_out=0.004):
    z = np.random.randint(k, size=n)
    prob = np.where(z[:, None] == z[None], p_in, p_out)
    adj = np.triu(np.random.rand(n, n) < prob, 1)
    adj = (adj | adj.T).astype(np.float32) + np.eye(n, dtype=np.float32)
    dinv = 1 / np.sqrt(adj.sum(1))
    norm = adj * dinv[:, None] * dinv[None]
    centres = np.random.randn(k, d) * 0.25
    feats = centres[z] + np.random.randn(n, d)
    return torch.tensor(norm, dtype=torch.float32).to_sparse_coo(), torch.tensor(feats, dtype=torch.float32), torch.tensor(z)


class GCN(nn.Module):
    def __init__(self, d, h, k):
        super().__init__()
        self.lin1 = nn.Linear(d, h)
        self.lin2 = nn.Linear(h, k)

    def forward(self, a, x):
        x = F.dropout(x, 0.3, self.training)
        x = torch.sparse.mm(a, self.lin1(x)).relu()
        x = F.dropout(x, 0.5, self.training)
        return torch.sparse.mm(a, self.lin2(x))


seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

A, X, z = make_graph()
order = torch.randperm(len(z))
train, test = order[:150], order[300:]
model = GCN(X.shape[1], 32, 5)
opt = torch.optim.Adam([
    {"params": model.lin1.parameters(), "weight_decay": 5e-3},
    {"params": model.lin2.parameters(), "weight_decay": 0},
], lr=0.02)
for it in range(150):
    model.train()
    loss = F.cross_entropy(model(A, X)[train], z[train])
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 25 == 24:
        model.eval()
        with torch.no_grad():
            pred = model(A, X).argmax(1)
        print(f"iter {it + 1} loss {loss.item():.4f} labelled {(pred[train] == z[train]).float().mean():.4f}"
              f" unlabelled {(pred[test] == z[test]).float().mean():.4f}")
