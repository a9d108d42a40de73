"""Node classification on a citation-like random graph (stochastic block model)."""
import os
import random
import numpy as np
import scipy.sparse as sp
import torch
import torch.nn as nn
import torch.nn.functional as F

rs = int(os.environ.get("SEED", 0))
random.seed(rs); np.random.seed(rs); torch.manual_seed(rs)

N, K, D = 640, 6, 40
labels = np.random.randint(0, K, N)
same = labels[:, None] == labels[None, :]
prob = np.where(same, 5.0, 0.45) / (N / K)
A = sp.csr_matrix(np.triu(np.random.rand(N, N) < prob, 1).astype(np.float32))
A = A + A.T + sp.eye(N, dtype=np.float32)
deg = np.asarray(A.sum(1)).ravel()
A = (sp.diags(deg ** -0.5) @ A @ sp.diags(deg ** -0.5)).tocsr().astype(np.float32)
topics = np.random.randn(K, D) * 0.35
feats = topics[labels] + np.random.randn(N, D)

dense_adj = torch.tensor(A.toarray())
x = torch.tensor(feats, dtype=torch.float32)
y = torch.tensor(labels)
perm = torch.randperm(N)
train_idx, val_idx, test_idx = perm[:280], perm[280:380], perm[380:]


class GraphConv(nn.Module):
    def __init__(self, din, dout):
        super().__init__()
        self.lin = nn.Linear(din, dout)

    def forward(self, h, adj):
        return adj @ self.lin(h)


class GCN(nn.Module):
    def __init__(self, din, hidden, dout, n_layers, p=0.5):
        super().__init__()
        self.inp = nn.Linear(din, hidden)
        self.convs = nn.ModuleList(GraphConv(hidden, hidden) for _ in range(n_layers))
        self.out = nn.Linear(hidden, dout)
        self.p = p

    def forward(self, h, adj):
        h = F.dropout(F.relu(self.inp(h)), self.p, self.training)
        for conv in self.convs:
            h = F.relu(conv(h, adj))
        h = F.dropout(h, self.p, self.training)
        return self.out(h)


model = GCN(D, 32, K, n_layers=14)
opt = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=5e-4)


@torch.no_grad()
def score(idx):
    model.eval()
    return (model(x, dense_adj)[idx].argmax(1) == y[idx]).float().mean().item()


best_val, best_state = 0, None
for epoch in range(1, 81):
    model.train()
    loss = F.cross_entropy(model(x, dense_adj)[train_idx], y[train_idx])
    opt.zero_grad()
    loss.backward()
    opt.step()
    v = score(val_idx)
    if v >= best_val:
        best_val = v
        best_state = {k: t.clone() for k, t in model.state_dict().items()}
    if epoch % 20 == 0:
        print(f"epoch {epoch:3d} loss {loss.item():.4f} val {v:.3f}")

model.load_state_dict(best_state)
print(f"best val {best_val:.3f}, test accuracy {score(test_idx):.4f}")
