"""REINFORCE with a learned baseline on blackjack (infinite deck, dealer stands on 17), many tables at once."""
import os
import random

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

TABLES, UPDATES, LR, HID, BONUS = 512, 400, 0.01, 32, 0.03
CARDS = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10])


def draw(n):
    return CARDS[torch.randint(13, (n,))]


def add(total, ace, card):
    """total counts one ace as 11 where that does not bust"""
    total = total + torch.where((card == 1) & (total <= 10), 11, card)
    ace = ace | ((card == 1) & (total <= 21))
    soften = (total > 21) & ace
    return total - 10 * soften, ace & ~soften


def features(total, ace, dealer):
    f = torch.stack([(total - 15) / 5.0, ace.float(), (dealer - 5.5) / 3.0], 1)
    return torch.cat([f, f[:, :1] * f[:, 1:], f[:, 2:] ** 2], 1)


def dealer_plays(card):
    n = len(card)
    total, ace = add(torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.bool), card)
    while (total < 17).any():
        t2, a2 = add(total, ace, draw(n))
        go = total < 17
        total, ace = torch.where(go, t2, total), torch.where(go, a2, ace)
    return total


def play(policy, n):
    total, ace = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.bool)
    for _ in range(2):
        total, ace = add(total, ace, draw(n))
    dealer = draw(n)
    active = torch.ones(n, dtype=torch.bool)
    trace = []
    while active.any():
        who = torch.nonzero(active).flatten()
        obs = features(total[who], ace[who], dealer[who].float())
        hit = policy(obs)
        trace.append((who, obs, hit))
        t2, a2 = add(total[who], ace[who], draw(len(who)))
        total[who] = torch.where(hit, t2, total[who])
        ace[who] = torch.where(hit, a2, ace[who])
        active[who] = hit & (total[who] <= 21)
    house = dealer_plays(dealer)
    reward = torch.where(total > 21, -1.0, torch.where((house > 21) | (total > house), 1.0, torch.where(total == house, 0.0, -1.0)))
    return reward, trace


actor = nn.Sequential(nn.Linear(6, HID), nn.Tanh(), nn.Linear(HID, 1))
critic = nn.Sequential(nn.Linear(6, HID), nn.Tanh(), nn.Linear(HID, 1))
opt = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=LR)


@torch.no_grad()
def sampled(obs):
    return torch.rand(len(obs)) < torch.sigmoid(actor(obs)).squeeze(1)


@torch.no_grad()
def greedy(obs):
    return actor(obs).squeeze(1) > 0


recent = []
for u in range(1, UPDATES + 1):
    reward, trace = play(sampled, TABLES)
    who = torch.cat([t[0] for t in trace])
    obs, hit = torch.cat([t[1] for t in trace]), torch.cat([t[2] for t in trace])
    ret = reward[who]
    value = critic(obs).squeeze(1)
    dist = torch.distributions.Bernoulli(logits=actor(obs).squeeze(1))
    advantage = ret - value.detach()
    loss = -(dist.log_prob(hit.float()) * advantage).mean() + 0.5 * ((value - ret) ** 2).mean() - BONUS * (1 - u / UPDATES) * dist.entropy().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    for g in opt.param_groups:
        g["lr"] = LR * (1 - 0.9 * u / UPDATES)
    recent.append(reward.mean().item())
    if u % 50 == 0:
        print(f"update {u} mean stake won {np.mean(recent[-50:]):+.3f} entropy {dist.entropy().mean().item():.3f}")
print("dealer's own rule %+.4f" % play(lambda o: o[:, 0] * 5 + 15 < 17, 200000)[0].mean().item())
print("learned policy %+.4f per hand" % play(greedy, 200000)[0].mean().item())
