"""Predict the distribution of 1..6 star ratings that a recipe will get from its attributes."""
import os
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

N, D, K = 3000, 18, 6
A = np.random.RandomState(42)
W1 = A.normal(0, 1.0 / np.sqrt(D), (D, 10))
w_mu, w_sd = A.normal(0, 1, 10), A.normal(0, 0.5, 10)

X = np.random.normal(size=(N, D))
H = np.tanh(1.5 * X @ W1)
center = 2.5 + 0.8 * (H @ w_mu)
width = np.exp(0.25 + 0.35 * (H @ w_sd))
logits = -0.5 * ((np.arange(K)[None, :] - center[:, None]) / width[:, None]) ** 2
P = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
votes = np.stack([np.random.multinomial(60, p) for p in P])
Y = (votes + 0.1) / (votes + 0.1).sum(1, keepdims=True)

X, Y = torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)
tr, va = slice(0, 2300), slice(2300, None)
loader = DataLoader(TensorDataset(X[tr], Y[tr]), batch_size=64, shuffle=True)


class RatingNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(D, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.head = nn.Linear(64, K)

    def forward(self, x):
        return F.softmax(self.head(self.body(x)), dim=1)


net = RatingNet()
kl = nn.KLDivLoss(reduction="batchmean")
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)


def evaluate():
    net.eval()
    with torch.no_grad():
        p = net(X[va])
    net.train()
    return (p - Y[va]).abs().sum(1).mean().item()


for epoch in range(15):
    for xb, yb in loader:
        loss = kl(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch:02d} loss {loss.item():.4f} val L1 {evaluate():.4f}")
