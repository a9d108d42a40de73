"""Actor-critic with many small environments in parallel; the cart-pole is written out by hand."""
import os
import random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class CartPoles:
    def __init__(self, n, limit=200):
        self.n, self.limit = n, limit
        self.s = torch.rand(n, 4) * 0.1 - 0.05
        self.t = torch.zeros(n)

    def step(self, a):
        x, v, th, w = self.s.unbind(1)
        f = a.float() * 20 - 10
        c, s = th.cos(), th.sin()
        tmp = (f + 0.05 * w * w * s) / 1.1
        acc_th = (9.8 * s - c * tmp) / (0.5 * (4 / 3 - 0.1 * c * c / 1.1))
        acc = tmp - 0.05 * acc_th * c / 1.1
        self.s = torch.stack([x + 0.02 * v, v + 0.02 * acc, th + 0.02 * w, w + 0.02 * acc_th], 1)
        self.t += 1
        fell = (self.s[:, 0].abs() > 2.4) | (self.s[:, 2].abs() > 0.2095)
        over = self.t >= self.limit
        done = fell | over
        nxt, length = self.s.clone(), self.t.clone()
        fresh = torch.rand(self.n, 4) * 0.1 - 0.05
        self.s = torch.where(done[:, None], fresh, self.s)
        self.t = torch.where(done, torch.zeros(self.n), self.t)
        return nxt, fell, done, length


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.pi = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
        self.v = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, s):
        s = s * torch.tensor([1.0, 1.0, 5.0, 1.0])
        return torch.distributions.Categorical(logits=self.pi(s)), self.v(s).squeeze(-1)


GAMMA, N, K, UPDATES = 0.99, 32, 32, 400
net = ActorCritic()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
env = CartPoles(N)
recent = []
for u in range(1, UPDATES + 1):
    S, A, NX, FELL, DONE = [], [], [], [], []
    for _ in range(K):
        s = env.s
        with torch.no_grad():
            a = net(s)[0].sample()
        nxt, fell, done, length = env.step(a)
        recent += length[done].tolist()
        S.append(s); A.append(a); NX.append(nxt); FELL.append(fell.float()); DONE.append(done.float())
    with torch.no_grad():
        boot = [net(x)[1] for x in NX]
        ret, R = [], boot[-1]
        for k in reversed(range(K)):
            # rewards are scaled by 1 - gamma, values lie in [0, 1]; when an episode is cut off by the time limit its value goes on
            R = (1 - GAMMA) + GAMMA * (1 - FELL[k]) * (DONE[k] * boot[k] + (1 - DONE[k]) * R)
            ret.insert(0, R)
    dist, val = net(torch.cat(S))
    ret = torch.cat(ret)
    adv = ret - val.detach()
    adv = (adv - adv.mean()) / (adv.std() + 1e-6)
    loss = -(dist.log_prob(torch.cat(A)) * adv).mean() + 5 * nn.functional.mse_loss(val, ret) - 0.005 * dist.entropy().mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 0.5)
    opt.step()
    for g in opt.param_groups:
        g["lr"] = 3e-3 * (1 - u / UPDATES) + 1e-5
    if u % 100 == 0:
        print(f"update {u}  loss {loss.item():.3f}  mean length of the last episodes {np.mean(recent[-100:]):.1f}")

ev, lengths = CartPoles(100), []
first = torch.zeros(100)
with torch.no_grad():
    for _ in range(200):
        _, _, done, length = ev.step(net(ev.s)[0].probs.argmax(1))
        first = torch.where(done & (first == 0), length, first)
print("greedy evaluation, mean episode length: %.2f" % first.mean())
