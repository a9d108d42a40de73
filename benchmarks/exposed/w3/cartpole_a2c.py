"""Policy gradient with a learned baseline on a batched cart-pole (own simulator, no gym)."""
import math
import os
import random

import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Bernoulli


class CartPole:
    LIMIT = 150

    def __init__(self, n):
        self.n = n

    def reset(self):
        self.s = torch.empty(self.n, 4).uniform_(-0.05, 0.05)
        self.alive = torch.ones(self.n)
        return self.s

    def step(self, push_right):
        x, v, th, w = self.s.unbind(1)
        force = 20.0 * push_right - 10.0
        c, s = th.cos(), th.sin()
        tmp = (force + 0.05 * w ** 2 * s) / 1.1
        acc_th = (9.8 * s - c * tmp) / (0.5 * (4 / 3 - 0.1 * c ** 2 / 1.1))
        acc = tmp - 0.05 * acc_th * c / 1.1
        self.s = torch.stack([x + 0.02 * v, v + 0.02 * acc, th + 0.02 * w, w + 0.02 * acc_th], 1)
        reward = self.alive.clone()
        self.alive = self.alive * ((self.s[:, 0].abs() < 2.4) & (self.s[:, 2].abs() < 0.2095)).float()
        return self.s, reward


def rollout(env, policy, greedy=False):
    scale = torch.tensor([1.0, 1.0, 8.0, 1.0])
    s = env.reset()
    S, A, R = [], [], []
    with torch.no_grad():
        for _ in range(env.LIMIT):
            o = s * scale
            z = policy(o).squeeze(1)
            a = (z > 0).float() if greedy else torch.bernoulli(z.sigmoid())
            s, r = env.step(a)
            S.append(o); A.append(a); R.append(r)
            if env.alive.sum() == 0:
                break
    return torch.stack(S), torch.stack(A), torch.stack(R)


def mlp(h):
    return nn.Sequential(nn.Linear(4, h), nn.Tanh(), nn.Linear(h, h), nn.Tanh(), nn.Linear(h, 1))


def main(iters=40, gamma=0.97, lr_pi=0.01, lr_v=0.01, hidden=24, entropy=0.003):
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    env, actor, critic = CartPole(24), mlp(hidden), mlp(hidden)
    opt_a = torch.optim.Adam(actor.parameters(), lr=lr_pi)
    opt_c = torch.optim.Adam(critic.parameters(), lr=lr_v)
    for it in range(iters):
        S, A, R = rollout(env, actor)
        G = torch.zeros_like(R)
        acc = torch.zeros(env.n)
        for k in reversed(range(len(R))):
            acc = R[k] + gamma * acc
            G[k] = acc
        keep = R > 0
        S, A, G = S[keep], A[keep], G[keep]
        for _ in range(5):
            v_loss = nn.functional.mse_loss(critic(S).squeeze(1) * 20, G) / 100
            opt_c.zero_grad(); v_loss.backward(); opt_c.step()
        adv = G - critic(S).squeeze(1).detach() * 20
        adv = (adv - adv.mean()) / (adv.std() + 1e-6)
        pi = Bernoulli(logits=actor(S).squeeze(1))
        p_loss = -(pi.log_prob(A) * adv).mean() - entropy * pi.entropy().mean()
        opt_a.zero_grad()
        p_loss.backward()
        nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
        opt_a.step()
        if it % 4 == 3:
            print(f"it {it + 1:3d} return {R.sum().item() / env.n:6.1f} pi-loss {p_loss.item():+.3f} v-loss {v_loss.item():.3f}")
    _, _, R = rollout(CartPole(200), actor, greedy=True)
    print(f"greedy return on 200 fresh starts: {R.sum().item() / 200:.2f} of {CartPole.LIMIT}")


if __name__ == "__main__":
    main()
