import os, copy
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
p = np.random.permutation(len(y))
X = torch.tensor((X[p] - 4.88) / 6.0, dtype=torch.float32)
y = torch.tensor(y[p])
X_test, y_test = X[1300:], y[1300:]

# non-iid split: the share of every class is drawn from a Dirichlet
N_CLIENTS = 8
owner = np.empty(1300, int)
for c in range(10):
    rows = np.where(y[:1300].numpy() == c)[0]
    owner[rows] = np.random.choice(N_CLIENTS, len(rows), p=np.random.dirichlet([2.0] * N_CLIENTS))


class Client:
    def __init__(self, rows):
        self.X, self.y = X[rows], y[rows]

    def update(self, global_model, lr, local_epochs=2, batch=16):
        net = copy.deepcopy(global_model)
        net.train()
        opt = torch.optim.SGD(net.parameters(), lr=lr)
        for _ in range(local_epochs):
            for b in torch.randperm(len(self.y)).split(batch):
                loss = F.cross_entropy(net(self.X[b]), self.y[b])
                opt.zero_grad()
                loss.backward()
                opt.step()
        return net.state_dict(), len(self.y), loss.item()


clients = [Client(np.where(owner == k)[0]) for k in range(N_CLIENTS)]
print("client sizes", [len(c.y) for c in clients])
server = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
ROUNDS = 50
for r in range(ROUNDS):
    lr = 0.15 * 0.97 ** r
    chosen = np.random.choice(N_CLIENTS, 6, replace=False)
    results = [clients[k].update(server, lr) for k in chosen if len(clients[k].y)]
    total = sum(n for _, n, _ in results)
    merged = {k: sum(sd[k] * (n / total) for sd, n, _ in results) for k in server.state_dict()}
    server.load_state_dict(merged)
    if r % 5 == 4:
        server.eval()
        with torch.no_grad():
            loss = F.cross_entropy(server(X[:1300]), y[:1300]).item()
        print(f"round {r + 1}: global train loss {loss:.4f}")
with torch.no_grad():
    acc = (server(X_test).argmax(1) == y_test).float().mean().item()
print(f"global model, test accuracy {acc:.4f}")
