"""Advantage actor-critic on a small grid with a pit; the environment is batched by hand."""
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

N = 5
GOAL, PITS = (4, 4), {(1, 1), (3, 2), (2, 4)}
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])


class Grid:
    def __init__(self, n):
        self.n = n
        self.pos = np.zeros((n, 2), int); self.t = np.zeros(n, int)

    def obs(self):
        o = np.zeros((self.n, 2 * N), np.float32)
        o[np.arange(self.n), self.pos[:, 0]] = 1
        o[np.arange(self.n), N + self.pos[:, 1]] = 1
        return torch.from_numpy(o)

    def step(self, a):
        slip = np.random.rand(self.n) < 0.05
        a = np.where(slip, np.random.randint(4, size=self.n), a)
        self.pos = np.clip(self.pos + MOVES[a], 0, N - 1)
        self.t += 1
        r = np.full(self.n, -0.03, np.float32); done = self.t >= 40
        for i, p in enumerate(map(tuple, self.pos)):
            if p == GOAL: r[i], done[i] = 1.0, True
            elif p in PITS: r[i], done[i] = -0.5, True
        self.pos[done] = 0; self.t[done] = 0
        return r, done.astype(np.float32)


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2 * N, 64), nn.Tanh())
        self.pi, self.v = nn.Linear(64, 4), nn.Linear(64, 1)
        nn.init.orthogonal_(self.pi.weight, 0.01)

    def forward(self, o):
        h = self.trunk(o)
        return torch.distributions.Categorical(logits=self.pi(h)), self.v(h).squeeze(-1)


agent, env = Agent(), Grid(32)
UPDATES, T, GAMMA = 700, 8, 0.98
opt = torch.optim.Adam(agent.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, total_iters=UPDATES)
o = env.obs()
running, returns = np.zeros(32), []
for u in range(UPDATES):
    logp, ent, val, rew, don = [], [], [], [], []
    for _ in range(T):
        dist, v = agent(o)
        a = dist.sample()
        r, d = env.step(a.numpy())
        running += r
        returns += list(running[d == 1]); running[d == 1] = 0
        logp.append(dist.log_prob(a)); ent.append(dist.entropy()); val.append(v)
        rew.append(torch.from_numpy(r)); don.append(torch.from_numpy(d))
        o = env.obs()
    with torch.no_grad():
        R = agent(o)[1]
    target = []
    for r, d in zip(reversed(rew), reversed(don)):
        R = r + GAMMA * R * (1 - d)
        target.insert(0, R)
    target, val, logp, ent = torch.stack(target), torch.stack(val), torch.stack(logp), torch.stack(ent)
    adv = (target - val).detach()
    beta = 0.05 * (1 - u / UPDATES)
    loss = -(logp * adv).mean() + 0.5 * (target - val).pow(2).mean() - beta * ent.mean()
    opt.zero_grad(); loss.backward()
    nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
    opt.step(); sched.step()
    if u % 100 == 99:
        print(f"update {u + 1} loss {loss.item():.3f} entropy {ent.mean().item():.3f} mean return {np.mean(returns[-200:]):.3f}")

test_env = Grid(200); total = np.zeros(200); alive = np.ones(200)
for _ in range(40):
    with torch.no_grad():
        a = agent(test_env.obs())[0].probs.argmax(1)
    r, d = test_env.step(a.numpy())
    total += r * alive; alive *= 1 - d
print(f"greedy policy, 200 fresh episodes: mean return {total.mean():.4f}")
