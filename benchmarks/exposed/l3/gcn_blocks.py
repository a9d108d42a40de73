import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

# semi-supervised node classification (Kipf & Welling) on a citation-like block model
SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

N, C, D = 1500, 6, 300
label = np.random.randint(C, size=N)
p_in, p_out = 0.012, 0.0012
P = np.where(label[:, None] == label[None, :], p_in, p_out)
A = np.triu(np.random.rand(N, N) < P, 1)
A = A + A.T
topic = np.random.dirichlet(np.full(D, 0.3), size=C)
words = np.stack([np.random.multinomial(15, 0.25 * topic[l] + 0.75 / D) for l in label])
X = torch.tensor((words > 0) / np.maximum((words > 0).sum(1, keepdims=True), 1), dtype=torch.float32)

A_hat = torch.tensor(A + np.eye(N), dtype=torch.float32)
d = A_hat.sum(1).rsqrt()
A_hat = (d[:, None] * A_hat * d[None, :]).to_sparse()
y = torch.tensor(label)
order = np.random.permutation(N)
train = torch.tensor(np.concatenate([order[label[order] == c][:20] for c in range(C)]))
rest = torch.tensor([i for i in order if i not in set(train.tolist())])
val, test = rest[:400], rest[400:]


class GraphConv(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(i, o))
        self.bias = nn.Parameter(torch.zeros(o))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x, adj):
        return torch.sparse.mm(adj, x @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self, d, hid, c, dropout=0.5):
        super().__init__()
        self.gc1, self.gc2, self.dropout = GraphConv(d, hid), GraphConv(hid, c), dropout

    def forward(self, x, adj):
        x = F.dropout(x, self.dropout, self.training)
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


model = GCN(D, 16, C)
epochs = 400
optimizer = torch.optim.Adam([{"params": model.gc1.parameters(), "weight_decay": 5e-4},
                              {"params": model.gc2.parameters(), "weight_decay": 0.0}], lr=0.01)


def accuracy(out, idx):
    return (out[idx].argmax(1) == y[idx]).float().mean().item()


best_loss, best_state = float("inf"), None
for epoch in range(epochs):
    model.train()
    optimizer.zero_grad()
    out = model(X, A_hat)
    loss = F.nll_loss(out[train], y[train])
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        out = model(X, A_hat)
        val_loss = F.nll_loss(out[val], y[val]).item()
    if val_loss < best_loss:
        best_loss, best_state = val_loss, {k: v.clone() for k, v in model.state_dict().items()}
    if epoch % 80 == 0:
        print(f"Epoch: {epoch:04d} loss_train: {loss.item():.4f} loss_val: {val_loss:.4f} acc_val: {accuracy(out, val):.4f}")

model.load_state_dict(best_state)
model.eval()
with torch.no_grad():
    print("mean degree %.2f" % A.sum(1).mean())
    print("Test accuracy: %.4f" % accuracy(model(X, A_hat), test))
