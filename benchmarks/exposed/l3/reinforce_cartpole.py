"""Policy gradient with a learned baseline on a vectorised cart-pole."""
import os
import math
import torch
from torch import nn
from torch.distributions import Categorical

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)


class CartPoles:
    """n cart-poles stepped together, the classic equations of gym's CartPole-v1"""

    def __init__(self, n, horizon=200):
        self.n, self.horizon = n, horizon

    def reset(self):
        self.s = (torch.rand(self.n, 4) - 0.5) * 0.1
        self.alive = torch.ones(self.n, dtype=torch.bool)
        return self.s.clone()

    def step(self, action):
        x, v, th, w = self.s.unbind(1)
        force = (action.float() * 2 - 1) * 10.0
        c, s = th.cos(), th.sin()
        temp = (force + 0.05 * w ** 2 * s) / 1.1
        tha = (9.8 * s - c * temp) / (0.5 * (4 / 3 - 0.1 * c ** 2 / 1.1))
        xa = temp - 0.05 * tha * c / 1.1
        reward = self.alive.float()
        self.s = torch.stack([x + 0.02 * v, v + 0.02 * xa, th + 0.02 * w, w + 0.02 * tha], 1)
        self.alive = self.alive & (self.s[:, 0].abs() < 2.4) & (self.s[:, 2].abs() < 12 * math.pi / 180)
        self.s = torch.where(self.alive[:, None], self.s, torch.zeros_like(self.s))
        return self.s.clone(), reward


SCALE = torch.tensor([2.4, 2.0, 0.2, 2.0])
policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
value = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))
LR = 1e-2
opt_pi = torch.optim.Adam(policy.parameters(), lr=LR)
opt_v = torch.optim.Adam(value.parameters(), lr=LR)
GAMMA = 0.99
UPDATES = 60


def rollout(env, greedy=False):
    s = env.reset() / SCALE
    S, A, R, M = [], [], [], []
    for _ in range(env.horizon):
        M.append(env.alive.clone())
        with torch.no_grad():
            logits = policy(s)
        a = logits.argmax(1) if greedy else Categorical(logits=logits).sample()
        s2, r = env.step(a)
        S.append(s), A.append(a), R.append(r)
        s = s2 / SCALE
        if not env.alive.any():
            break
    return torch.stack(S), torch.stack(A), torch.stack(R), torch.stack(M)


env = CartPoles(16)
for it in range(1, UPDATES + 1):
    S, A, R, M = rollout(env)
    G = torch.zeros_like(R)
    run = torch.zeros(R.shape[1])
    for t in reversed(range(len(R))):
        run = R[t] + GAMMA * run
        G[t] = run
    S, A, G = S[M], A[M], G[M]

    v = value(S).squeeze(-1)
    target = G / 50.0
    adv = (target - v).detach()
    adv = (adv - adv.mean()) / (adv.std() + 1e-8)
    dist = Categorical(logits=policy(S))
    loss_pi = -(dist.log_prob(A) * adv).mean() - 0.005 * dist.entropy().mean()
    opt_pi.zero_grad()
    loss_pi.backward()
    nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
    opt_pi.step()

    for _ in range(3):
        loss_v = nn.functional.mse_loss(value(S).squeeze(-1), target)
        opt_v.zero_grad()
        loss_v.backward()
        opt_v.step()
    if it % 10 == 0:
        print(f"update {it:3d}  return {R.sum(0).mean().item():6.1f}  value loss {loss_v.item():.3f}")

R = rollout(CartPoles(100), greedy=True)[2]
print(f"greedy return over 100 episodes (max 200): {R.sum(0).mean().item():.1f}")
