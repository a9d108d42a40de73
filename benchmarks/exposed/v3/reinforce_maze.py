# REINFORCE with a learned baseline on a slippery grid.
# 5x5 cells, start bottom-left, goal top-right (+1), two pits (-1), 0.02 per step.
# With probability 0.1 the move is replaced by a random one.
import os, random
import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

N, SLIP, HORIZON, GAMMA = 5, 0.1, 40, 0.98
GOAL, PITS = (0, 4), [(2, 2), (3, 4)]
MOVES = torch.tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])


class Grid:
    """Many copies of the maze, stepped together."""

    def __init__(self, n):
        self.pos = torch.tensor([[N - 1, 0]]).repeat(n, 1)
        self.live = torch.ones(n, dtype=torch.bool)

    def obs(self):
        return nn.functional.one_hot(self.pos[:, 0] * N + self.pos[:, 1], N * N).float()

    def step(self, a):
        n = len(a)
        slip = torch.rand(n) < SLIP
        a = torch.where(slip, torch.randint(0, 4, (n,)), a)
        self.pos = torch.where(self.live[:, None], (self.pos + MOVES[a]).clamp(0, N - 1), self.pos)
        r = torch.full((n,), -0.02)
        at = lambda c: (self.pos[:, 0] == c[0]) & (self.pos[:, 1] == c[1])
        goal, pit = at(GOAL), at(PITS[0]) | at(PITS[1])
        r = r + goal.float() - pit.float()
        r = r * self.live
        self.live = self.live & ~goal & ~pit
        return r


class ActorCritic(nn.Module):
    def __init__(self, h=32):
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(N * N, h), nn.Tanh(), nn.Linear(h, 4))
        self.critic = nn.Sequential(nn.Linear(N * N, h), nn.Tanh(), nn.Linear(h, 1))


def rollout(net, n):
    env, logp, ent, val, rew, mask = Grid(n), [], [], [], [], []
    for _ in range(HORIZON):
        if not env.live.any():
            break
        o = env.obs()
        dist = Categorical(logits=net.actor(o), validate_args=False)
        a = dist.sample()
        mask.append(env.live.float())
        logp.append(dist.log_prob(a)); ent.append(dist.entropy()); val.append(net.critic(o).squeeze(1))
        rew.append(env.step(a))
    return [torch.stack(z) for z in (logp, ent, val, rew, mask)]


net = ActorCritic()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
UPDATES, BATCH = 250, 24
for u in range(1, UPDATES + 1):
    logp, ent, val, rew, mask = rollout(net, BATCH)
    ret, g = torch.zeros_like(rew), torch.zeros(BATCH)
    for t in reversed(range(len(rew))):
        g = rew[t] + GAMMA * g
        ret[t] = g
    adv = (ret - val).detach()
    m = mask.sum()
    beta = 0.02 * (1 - u / UPDATES)
    policy_loss = -(logp * adv * mask).sum() / m
    value_loss = ((val - ret).pow(2) * mask).sum() / m
    loss = policy_loss + 0.5 * value_loss - beta * (ent * mask).sum() / m
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 0.5)
    opt.step()
    if u % 25 == 0:
        with torch.no_grad():
            test = rollout(net, 500)[3].sum(0).mean().item()
        print(f"update {u:4d}  loss {loss.item():+.4f}  batch return {rew.sum(0).mean().item():+.3f}"
              f"  mean return of 500 fresh episodes {test:+.3f}")
