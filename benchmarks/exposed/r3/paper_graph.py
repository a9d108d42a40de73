"""Two-layer graph convolution (Kipf & Welling), dense adjacency, semi-supervised: 20 labelled papers per topic."""
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED), np.random.seed(SEED), torch.manual_seed(SEED)

TOPICS, PER, WORDS = 5, 180, 300
HIDDEN, DROP, LR, WD, EPOCHS = 16, 0.5, 0.01, 5e-4, 200


def make_papers():
    n = TOPICS * PER
    topic = np.repeat(np.arange(TOPICS), PER)
    same = topic[:, None] == topic[None]
    p = np.where(same, 0.012, 0.0012)
    a = np.triu(np.random.rand(n, n) < p, 1)
    a = (a | a.T).astype(np.float32)
    profile = np.random.gamma(0.6, size=(TOPICS, WORDS)) + 1.2
    profile /= profile.sum(1, keepdims=True)
    words = np.stack([np.random.multinomial(15, profile[t]) for t in topic]) > 0
    return a, words.astype(np.float32), topic


adj, words, topic = make_papers()
x = torch.tensor(words / words.sum(1, keepdims=True).clip(1))
y = torch.tensor(topic)
a = torch.tensor(adj) + torch.eye(len(y))
d = a.sum(1).rsqrt()
a_hat = d[:, None] * a * d[None]

perm = torch.randperm(len(y))
train = torch.cat([perm[y[perm] == t][:20] for t in range(TOPICS)])
rest = perm[~torch.isin(perm, train)]
val, test = rest[:150], rest[150:]


class GraphConv(nn.Module):
    def __init__(self, cin, cout):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(cin, cout))
        self.bias = nn.Parameter(torch.zeros(cout))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, a, h):
        return a @ (h @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = GraphConv(WORDS, HIDDEN)
        self.c2 = GraphConv(HIDDEN, TOPICS)

    def forward(self, a, x):
        h = F.dropout(x, DROP, self.training)
        h = F.dropout(F.relu(self.c1(a, h)), DROP, self.training)
        return self.c2(a, h)


net = GCN()
opt = torch.optim.Adam([{"params": net.c1.parameters(), "weight_decay": WD}, {"params": net.c2.parameters(), "weight_decay": 0}], lr=LR)
for epoch in range(EPOCHS):
    net.train()
    opt.zero_grad()
    loss = F.cross_entropy(net(a_hat, x)[train], y[train])
    loss.backward()
    opt.step()
    if epoch % 20 == 19:
        net.eval()
        with torch.no_grad():
            out = net(a_hat, x)
            acc = (out[val].argmax(1) == y[val]).float().mean()
        print(f"{epoch + 1:4d}: loss {loss.item():.3f}, val accuracy {acc:.3f}")
net.eval()
pred = net(a_hat, x).argmax(1)
print(f"test accuracy {(pred[test] == y[test]).float().mean().item():.4f}")
