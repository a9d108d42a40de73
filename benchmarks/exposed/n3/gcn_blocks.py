"""Semi-supervised node classification, two-layer GCN with a dense normalised adjacency matrix.
Stochastic block model, 5 communities, weak node features, 10 labelled nodes per class."""
import os
import torch
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)

N, C, FEATS = 1000, 5, 50
y = torch.arange(N) % C
same = (y[:, None] == y[None, :]).float()
prob = 0.030 * same + 0.004 * (1 - same)
A = torch.triu((torch.rand(N, N) < prob).float(), 1)
A = A + A.T
centers = torch.randn(C, FEATS) * 0.35
X = centers[y] + torch.randn(N, FEATS)

A_hat = A + torch.eye(N)
d = A_hat.sum(1).rsqrt()
A_hat = (d[:, None] * A_hat * d[None, :]).to_sparse()

train_mask = torch.zeros(N, dtype=torch.bool)
val_mask = torch.zeros(N, dtype=torch.bool)
for c in range(C):
    members = torch.nonzero(y == c).squeeze(1)
    members = members[torch.randperm(len(members))]
    train_mask[members[:10]] = True
    val_mask[members[10:40]] = True
test_mask = ~(train_mask | val_mask)


class GCN(torch.nn.Module):
    def __init__(self, hidden=32, p=0.5):
        super().__init__()
        self.w1 = torch.nn.Linear(FEATS, hidden)
        self.w2 = torch.nn.Linear(hidden, C)
        self.p = p

    def forward(self, x):
        x = F.dropout(x, self.p, self.training)
        h = F.relu(torch.sparse.mm(A_hat, self.w1(x)))
        h = F.dropout(h, self.p, self.training)
        return torch.sparse.mm(A_hat, self.w2(h))


def accuracy(mask):
    model.eval()
    with torch.no_grad():
        return (model(X)[mask].argmax(1) == y[mask]).float().mean().item()


model = GCN()
opt = torch.optim.Adam([
    {"params": model.w1.parameters(), "weight_decay": 1e-2},
    {"params": model.w2.parameters(), "weight_decay": 0.0},
], lr=0.01)

best_val, test_at_best = 0.0, 0.0
for epoch in range(300):
    model.train()
    opt.zero_grad()
    loss = F.cross_entropy(model(X)[train_mask], y[train_mask])
    loss.backward()
    opt.step()
    val = accuracy(val_mask)
    if val >= best_val:
        best_val, test_at_best = val, accuracy(test_mask)
    if epoch % 50 == 49:
        print(f"Epoch {epoch + 1:03d}  loss {loss.item():.4f}  train {accuracy(train_mask):.3f}  val {val:.3f}")
print(f"best val {best_val:.3f}, test {test_at_best:.4f}")
