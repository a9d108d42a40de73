import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader, random_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class SparseMoE(nn.Module):
    """Top-2 gated experts with a load-balancing loss (Shazeer 2017, Switch)"""

    def __init__(self, d, n_experts=8, hidden=32, k=2):
        super().__init__()
        self.k, self.n = k, n_experts
        self.gate = nn.Sequential(nn.Linear(d, 32), nn.Tanh(), nn.Linear(32, n_experts))
        self.w1 = nn.Parameter(torch.randn(n_experts, d, hidden) * (2 / d) ** 0.5)
        self.b1 = nn.Parameter(torch.zeros(n_experts, hidden))
        self.w2 = nn.Parameter(torch.randn(n_experts, hidden, 1) * (1 / hidden) ** 0.5)
        self.b2 = nn.Parameter(torch.zeros(n_experts, 1))

    def forward(self, x):
        logits = self.gate(x)
        val, idx = logits.topk(self.k, dim=1)
        weight = torch.zeros_like(logits).scatter(1, idx, F.softmax(val, dim=1))
        h = F.relu(torch.einsum("bd,edh->beh", x, self.w1) + self.b1)
        out = (torch.einsum("beh,eho->beo", h, self.w2) + self.b2).squeeze(-1)
        importance = F.softmax(logits, dim=1).mean(0)
        load = (weight > 0).float().mean(0) / self.k
        return (weight * out).sum(1), self.n * (importance * load).sum(), load


def make_data(n):
    # several regimes, each with its own law
    x = torch.rand(n, 6) * 2 - 1
    regime = (x[:, 0] > 0).long() * 2 + (x[:, 1] > 0).long()
    laws = torch.stack([torch.sin(3 * x[:, 2]) + x[:, 3], x[:, 2] * x[:, 3] * 2, x[:, 4].abs() * 2 - x[:, 2],
                        torch.cos(3 * x[:, 5]) - x[:, 4]], 1)
    return x, laws.gather(1, regime[:, None]).squeeze(1) + 0.2 * torch.randn(n)


full = TensorDataset(*make_data(14000))
train_set, val_set, test_set = random_split(full, [12000, 1000, 1000])
train_loader = DataLoader(train_set, batch_size=128, shuffle=True)


def evaluate(model, subset):
    model.eval()
    x, y = (torch.stack(t) for t in zip(*subset))
    with torch.no_grad():
        p, _, load = model(x)
    return F.mse_loss(p, y).item(), load


model = SparseMoE(6)
EPOCHS = 35
optimizer = torch.optim.AdamW(model.parameters(), lr=1.2e-2, weight_decay=1e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.2e-2, total_steps=EPOCHS * len(train_loader))
for epoch in range(EPOCHS):
    model.train()
    mse_sum = 0.0
    for x, y in train_loader:
        pred, balance, _ = model(x)
        mse = F.mse_loss(pred, y)
        loss = mse + 0.1 * balance
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        mse_sum += mse.item()
    if (epoch + 1) % 5 == 0:
        v, load = evaluate(model, val_set)
        print(f"epoch {epoch + 1} train {mse_sum / len(train_loader):.4f} val {v:.4f} load {[round(l, 2) for l in load.tolist()]}")

print("target variance %.3f" % torch.stack([y for _, y in test_set]).var().item())
print("test mse %.4f" % evaluate(model, test_set)[0])
