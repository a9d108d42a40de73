import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# Slippery 6x6 grid: goal pays 1, pits pay -1, both end the episode.
W, GAMMA, SLIP = 6, 0.95, 0.2
GOAL, PITS = 35, [8, 15, 22, 27]
NS = W * W
MOVES = [(-1, 0), (0, 1), (1, 0), (0, -1)]
nxt = np.zeros((NS, 4), int)
for s in range(NS):
    for a, (dr, dc) in enumerate(MOVES):
        nxt[s, a] = min(max(s // W + dr, 0), W - 1) * W + min(max(s % W + dc, 0), W - 1)
P = np.zeros((NS, 4, NS))
for s in range(NS):
    for a in range(4):
        for b in range(4):
            P[s, a, nxt[s, b]] += (1 - SLIP if a == b else 0) + SLIP / 4
R = np.zeros(NS); R[GOAL] = 1; R[PITS] = -1
alive = np.ones(NS); alive[[GOAL] + PITS] = 0
starts = np.flatnonzero(alive)

cum = P.cumsum(2)
eye = torch.eye(NS)
actor = nn.Sequential(nn.Linear(NS, 64), nn.Tanh(), nn.Linear(64, 4))
critic = nn.Sequential(nn.Linear(NS, 64), nn.Tanh(), nn.Linear(64, 1))
for net in (actor, critic):
    nn.init.orthogonal_(net[2].weight, 0.01)
opt = torch.optim.Adam(list(actor.parameters()) + list(critic.parameters()), lr=5e-3)
B, T, LAM, LIMIT = 64, 8, 0.95, 25      # episodes are cut (not ended) after LIMIT moves
UPDATES = 600
sched = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.1, total_iters=UPDATES)
state, age = np.random.choice(starts, B), np.random.randint(0, 25, B)


def rollout(state, age):
    S, A, S2, CUT = [], [], [], []
    for _ in range(T):
        with torch.no_grad():
            a = Categorical(logits=actor(eye[state])).sample().numpy()
        s2 = np.minimum((np.random.rand(B, 1) > cum[state, a]).sum(1), NS - 1)
        age = age + 1
        over = (alive[s2] == 0) | (age >= LIMIT)
        S.append(state); A.append(a); S2.append(s2); CUT.append(over)
        state = np.where(over, np.random.choice(starts, B), s2)
        age = np.where(over, 0, age)
    return np.array(S), torch.tensor(np.array(A)), np.array(S2), torch.tensor(~np.array(CUT)).float(), state, age


for u in range(1, UPDATES + 1):
    S, A, S2, go_on, state, age = rollout(state, age)
    reward, live = torch.tensor(R[S2]).float(), torch.tensor(alive[S2]).float()
    v = critic(eye[S]).squeeze(-1)
    with torch.no_grad():
        delta = reward + GAMMA * live * critic(eye[S2]).squeeze(-1) - v
        adv, g = torch.zeros(T, B), 0.0
        for t in reversed(range(T)):
            g = delta[t] + GAMMA * LAM * go_on[t] * g
            adv[t] = g
    dist = Categorical(logits=actor(eye[S]))
    beta = 0.05 * (1 - u / UPDATES)
    pg = -(dist.log_prob(A) * (adv - adv.mean()) / (adv.std() + 1e-6)).mean()
    loss = pg + (v - (adv + v.detach())).pow(2).mean() - beta * dist.entropy().mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(opt.param_groups[0]["params"], 0.5)
    opt.step()
    sched.step()
    if u % 100 == 0:
        print(f"update {u}  reward per step {reward.mean():.4f}  entropy {dist.entropy().mean():.3f}")

# exact value of the greedy policy against value iteration
PR = (P * R).sum(2)
best = np.zeros(NS)
for _ in range(500):
    best = (PR + GAMMA * P @ (alive * best)).max(1)
with torch.no_grad():
    act = actor(eye).argmax(1).numpy()
Pp, Rp = P[np.arange(NS), act], PR[np.arange(NS), act]
val = np.linalg.solve(np.eye(NS) - GAMMA * Pp * alive, Rp)
print(f"mean value, optimum {best[starts].mean():.4f}, learned {val[starts].mean():.4f}")
