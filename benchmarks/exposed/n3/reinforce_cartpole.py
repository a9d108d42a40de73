"""REINFORCE with a learned baseline on a vectorised hand-written cart-pole (episodes of at most 200 steps)."""
import os
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)


class CartPoles:
    def __init__(self, n):
        self.n = n

    def reset(self):
        self.s = (torch.rand(self.n, 4) - 0.5) * 0.1
        return self.s

    def step(self, a):
        x, v, th, w = self.s.unbind(1)
        force = torch.where(a == 1, 10.0, -10.0)
        c, s = th.cos(), th.sin()
        tmp = (force + 0.05 * w ** 2 * s) / 1.1
        acc_th = (9.8 * s - c * tmp) / (0.5 * (4 / 3 - 0.1 * c ** 2 / 1.1))
        acc_x = tmp - 0.05 * acc_th * c / 1.1
        self.s = torch.stack([x + 0.02 * v, v + 0.02 * acc_x, th + 0.02 * w, w + 0.02 * acc_th], 1)
        dead = (self.s[:, 0].abs() > 2.4) | (self.s[:, 2].abs() > 0.2095)
        return self.s, dead


SCALE = torch.tensor([1.0, 1.0, 0.2, 1.0])
policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
value = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam(list(policy.parameters()) + list(value.parameters()), lr=1e-2)


def rollout(n, horizon=200, greedy=False):
    env = CartPoles(n)
    s, alive = env.reset(), torch.ones(n, dtype=torch.bool)
    S, A, M = [], [], []
    for _ in range(horizon):
        with torch.no_grad():
            logits = policy(s / SCALE)
            a = logits.argmax(1) if greedy else torch.distributions.Categorical(logits=logits).sample()
        S.append(s), A.append(a), M.append(alive)
        s, dead = env.step(a)
        alive = alive & ~dead
        if not alive.any():
            break
    return torch.stack(S), torch.stack(A), torch.stack(M).float()


gamma = 0.98
for it in range(1, 81):
    S, A, M = rollout(16)
    R, G = torch.zeros(16), []
    for t in reversed(range(len(M))):
        R = M[t] + gamma * R
        G.append(R)
    G = torch.stack(G[::-1]) / 20
    V = value(S / SCALE).squeeze(-1)
    adv = (G - V).detach()
    logp = torch.distributions.Categorical(logits=policy(S / SCALE)).log_prob(A)
    loss_pi = -(logp * adv * M).sum() / M.sum()
    loss_v = ((G - V) ** 2 * M).sum() / M.sum()
    opt.zero_grad()
    (loss_pi + loss_v).backward()
    opt.step()
    if it % 8 == 0:
        print(f"iter {it:3d}  return {M.sum(0).mean().item():6.1f}  policy loss {loss_pi.item():+.4f}  value loss {loss_v.item():.4f}")

print("greedy return over 100 new episodes: %.1f" % rollout(100, greedy=True)[2].sum(0).mean().item())
