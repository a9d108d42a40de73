import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

# stochastic block model: 600 nodes in 4 communities, weak node features, 15 labelled nodes for each community
n, k = 600, 4
label = np.random.randint(0, k, n)
prob = np.where(label[:, None] == label[None], 0.035, 0.008)
A = np.triu(np.random.rand(n, n) < prob, 1)
A = A + A.T
feat = np.random.randn(n, 32) + 0.5 * np.random.randn(k, 32)[label]
train = np.concatenate([np.where(label == c)[0][:15] for c in range(k)])
test = np.setdiff1d(np.arange(n), train)

Ah = A + np.eye(n)
dinv = 1 / np.sqrt(Ah.sum(1))
Ahat = torch.tensor(dinv[:, None] * Ah * dinv[None], dtype=torch.float32)
X, y = torch.tensor(feat, dtype=torch.float32), torch.tensor(label)


class GCN(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.w1 = nn.Linear(32, hidden)
        self.w2 = nn.Linear(hidden, k)

    def forward(self, x):
        x = F.dropout(x, 0.5, self.training)
        x = F.relu(Ahat @ self.w1(x))
        x = F.dropout(x, 0.5, self.training)
        return Ahat @ self.w2(x)


gcn = GCN()
opt = torch.optim.Adam([{"params": gcn.w1.parameters(), "weight_decay": 5e-3}, {"params": gcn.w2.parameters()}], lr=1e-2)
for epoch in range(200):
    gcn.train()
    opt.zero_grad()
    loss = F.cross_entropy(gcn(X)[train], y[train])
    loss.backward()
    opt.step()
    if epoch % 40 == 39:
        gcn.eval()
        with torch.no_grad():
            hit = gcn(X).argmax(1) == y
        print(f"epoch {epoch + 1} loss {loss.item():.3f} labelled nodes {hit[train].float().mean():.3f} others {hit[test].float().mean():.3f}")
gcn.eval()
with torch.no_grad():
    print("accuracy on unlabelled nodes %.4f" % (gcn(X).argmax(1) == y)[test].float().mean())
