"""Contextual bandit on the digits: the learner names a digit and is only told right or wrong (policy gradient)."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
X = torch.tensor(X / 8.0 - 1.0, dtype=torch.float32)
y = torch.tensor(y)
perm = torch.randperm(len(X))
test, pool = perm[:450], perm[450:]

policy = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
baseline = 0.1
rounds, batch = 5000, 64
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, 2.0 * (1 - t / rounds)))
recent = []

for t in range(1, rounds + 1):
    i = pool[torch.randint(len(pool), (batch,))]
    dist = Categorical(logits=policy(X[i]))
    action = dist.sample()
    reward = (action == y[i]).float()
    advantage = reward - baseline
    bonus = 0.1 * max(0.0, 1 - 2 * t / rounds)          # explore in the first half
    loss = -(dist.log_prob(action) * advantage).mean() - bonus * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    baseline += 0.05 * (reward.mean().item() - baseline)
    recent.append(reward.mean().item())
    if t % 500 == 0:
        print(f"round {t:5d}  loss {loss.item():+.4f}  mean reward {np.mean(recent[-200:]):.3f}")

with torch.no_grad():
    acc = (policy(X[test]).argmax(1) == y[test]).float().mean().item()
print(f"greedy policy on unseen digits: {acc:.4f}")
