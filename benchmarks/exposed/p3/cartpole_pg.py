"""REINFORCE with a learnt baseline on a hand-written, vectorised cart-pole (at most 200 steps)."""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
MAX_T, GAMMA = 200, 0.99


def reset(n):
    return (torch.rand(n, 4) - 0.5) * 0.1


def step(s, a):
    x, v, th, w = s.unbind(1)
    force = torch.where(a == 1, 10.0, -10.0)
    cos, sin = th.cos(), th.sin()
    tmp = (force + 0.05 * w ** 2 * sin) / 1.1
    acc_th = (9.8 * sin - cos * tmp) / (0.5 * (4.0 / 3.0 - 0.1 * cos ** 2 / 1.1))
    acc_x = tmp - 0.05 * acc_th * cos / 1.1
    s = torch.stack([x + 0.02 * v, v + 0.02 * acc_x, th + 0.02 * w, w + 0.02 * acc_th], 1)
    fallen = (s[:, 0].abs() > 2.4) | (s[:, 2].abs() > 0.2095)
    return s, fallen


def rollout(policy, n, greedy=False):
    s, alive = reset(n), torch.ones(n, dtype=torch.bool)
    states, actions, masks = [], [], []
    for _ in range(MAX_T):
        with torch.no_grad():
            logits = policy(s)
        a = logits.argmax(1) if greedy else Categorical(logits=logits).sample()
        states.append(s); actions.append(a); masks.append(alive.float())
        s, fallen = step(s, a)
        alive = alive & ~fallen
        if not alive.any():
            break
    return torch.stack(states), torch.stack(actions), torch.stack(masks)


policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
value = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
opt_p = torch.optim.Adam(policy.parameters(), lr=1e-2)
opt_v = torch.optim.Adam(value.parameters(), lr=2e-2)

ITERS = 80
for it in range(ITERS):
    S, A, M = rollout(policy, 32)
    ret = torch.zeros_like(M)
    run = torch.zeros(M.shape[1])
    for t in reversed(range(len(M))):
        run = M[t] * (1.0 + GAMMA * run)
        ret[t] = run
    keep = M.bool()
    s, a, r = S[keep], A[keep], ret[keep]

    for _ in range(5):
        v_loss = ((value(s).squeeze(1) - r / 50.0) ** 2).mean()
        opt_v.zero_grad()
        v_loss.backward()
        opt_v.step()
    with torch.no_grad():
        adv = r - 50.0 * value(s).squeeze(1)
        adv = (adv - adv.mean()) / (adv.std() + 1e-6)
    dist = Categorical(logits=policy(s))
    p_loss = -(dist.log_prob(a) * adv).mean() - 0.005 * dist.entropy().mean()
    opt_p.zero_grad()
    p_loss.backward()
    opt_p.step()
    if it % 10 == 9:
        print(f"iteration {it + 1}: mean length {M.sum(0).mean():.1f}, policy loss {p_loss.item():.3f}, value loss {v_loss.item():.3f}")

_, _, M = rollout(policy, 200, greedy=True)
print(f"greedy policy over 200 new episodes: mean length {M.sum(0).mean():.1f} of {MAX_T}")
