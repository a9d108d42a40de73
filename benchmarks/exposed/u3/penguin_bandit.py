"""A policy from rewards alone (REINFORCE): name the penguin, hear only whether it was right.

Rewards: right +1, wrong -1, and one answer in ten is misheard (its sign is turned over).
"""
import os, random
import numpy as np
import pandas as pd
import torch
from torch.distributions import Categorical
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

MISHEARD = 0.1


def load(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv"))
    num = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    df = df.dropna(subset=num)
    y = df.species.astype("category").cat.codes.values.astype("int64")
    x = df[num].values
    a, b, ya, yb = train_test_split(x, y, test_size=.4, stratify=y, random_state=seed)
    sc = StandardScaler().fit(a)
    return sc.transform(a), ya, sc.transform(b), yb


class Env:
    def __init__(self, x, species):
        self.x = torch.tensor(x, dtype=torch.float32)
        self.species = torch.tensor(species)

    def draw(self, n):
        self.i = torch.randint(len(self.x), (n,))
        return self.x[self.i]

    def pay(self, action):
        r = torch.where(action == self.species[self.i], 1., -1.)
        return torch.where(torch.rand(len(r)) < MISHEARD, -r, r)


class Agent:
    def __init__(self, d, hidden=16, lr=0.01, entropy=0.02):
        self.policy = torch.nn.Sequential(torch.nn.Linear(d, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 3))
        self.value = torch.nn.Linear(d, 1)
        self.popt = torch.optim.Adam(self.policy.parameters(), lr=lr)
        self.vopt = torch.optim.SGD(self.value.parameters(), lr=0.01)
        self.entropy = entropy

    def learn(self, env, n=32):
        s = env.draw(n)
        dist = Categorical(logits=self.policy(s))
        a = dist.sample()
        r = env.pay(a)
        v = self.value(s).squeeze(1)
        adv = (r - v).detach()
        ploss = -(dist.log_prob(a) * adv).mean() - self.entropy * dist.entropy().mean()
        self.popt.zero_grad()
        ploss.backward()
        self.popt.step()
        vloss = torch.nn.functional.smooth_l1_loss(v, r)
        self.vopt.zero_grad()
        vloss.backward()
        self.vopt.step()
        return ploss.item(), r.mean().item()


def run(updates=1200):
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
    xa, ya, xb, yb = load(seed)
    env, agent = Env(xa, ya), Agent(xa.shape[1])
    log = []
    for u in range(1, updates + 1):
        log.append(agent.learn(env))
        if u % 100 == 0:
            pl, r = np.mean(log[-100:], 0)
            print(f"update {u}: surrogate {pl:+.4f}, mean reward {r:+.3f} (0.8 is all there is)")
    with torch.no_grad():
        guess = agent.policy(torch.tensor(xb, dtype=torch.float32)).argmax(1).numpy()
    print(f"held-out penguins named rightly: {(guess == yb).mean():.4f}")


run()
