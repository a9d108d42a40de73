# Semi-supervised node classification on a stochastic block graph, graph convolution written by hand.
import os
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

n, k, d = 900, 4, 20
z = np.random.randint(k, size=n)
P = np.where(z[:, None] == z[None], 0.020, 0.004)
A = np.triu(np.random.rand(n, n) < P, 1)
A = (A | A.T).astype(np.float32) + np.eye(n, dtype=np.float32)
deg = A.sum(1)
A_hat = torch.tensor(A / np.sqrt(deg[:, None] * deg[None]))
centres = np.random.randn(k, d) * 0.35
feats = torch.tensor(centres[z] + np.random.randn(n, d), dtype=torch.float32)
labels = torch.tensor(z)
perm = torch.randperm(n)
train_mask, val_mask, test_mask = perm[:120], perm[120:300], perm[300:]


class GraphConvolution(nn.Module):
    def __init__(self, fin, fout):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(fin, fout))
        self.bias = nn.Parameter(torch.zeros(fout))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x, adj):
        return adj @ (x @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super().__init__()
        self.gc1, self.gc2, self.p = GraphConvolution(nfeat, nhid), GraphConvolution(nhid, nclass), dropout

    def forward(self, x, adj):
        x = F.dropout(x, self.p, self.training)
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.p, self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


model = GCN(d, 16, k, 0.5)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
best_val, best_state = 9, None
for epoch in range(250):
    model.train()
    optimizer.zero_grad()
    out = model(feats, A_hat)
    loss = F.nll_loss(out[train_mask], labels[train_mask])
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        val = F.nll_loss(model(feats, A_hat)[val_mask], labels[val_mask]).item()
    if val < best_val:
        best_val, best_state = val, {a: b.clone() for a, b in model.state_dict().items()}
    if epoch % 25 == 0:
        print(f"Epoch: {epoch:04d} loss_train: {loss.item():.4f} loss_val: {val:.4f}")
model.load_state_dict(best_state)
with torch.no_grad():
    acc = (model(feats, A_hat)[test_mask].argmax(1) == labels[test_mask]).float().mean().item()
print(f"Test set results: accuracy= {acc:.4f}")
