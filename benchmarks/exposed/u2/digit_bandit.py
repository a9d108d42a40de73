# Contextual bandit: the agent sees a digit, picks one of 10 buttons, is paid 1 if right.
# REINFORCE with a learned baseline and an entropy bonus.
import os, random
import numpy as np
import torch, torch.nn as nn
from torch.distributions import Categorical
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get('SEED', '0'))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
X = (X / 16.0 - 0.3).astype(np.float32)
X_env, X_eval, y_env, y_eval = train_test_split(X, y, test_size=0.3, random_state=SEED, stratify=y)


class Env:
    def __init__(self, X, y, n):
        self.X, self.y, self.n = torch.tensor(X), torch.tensor(y), n

    def reset(self):
        self.idx = torch.randint(len(self.X), (self.n,))
        return self.X[self.idx]

    def step(self, action):
        return (action == self.y[self.idx]).float()


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 128), nn.Tanh())
        self.pi = nn.Linear(128, 10)
        self.v = nn.Linear(128, 1)

    def forward(self, s):
        h = self.body(s)
        return Categorical(logits=self.pi(h)), self.v(h).squeeze(-1)


env = Env(X_env, y_env, n=128)
agent = ActorCritic()
optimizer = torch.optim.RMSprop(agent.parameters(), lr=3e-3, alpha=0.99)
avg = 0.1
for it in range(1200):
    s = env.reset()
    dist, value = agent(s)
    a = dist.sample()
    r = env.step(a)
    adv = (r - value).detach()
    policy_loss = (dist.log_prob(a) * adv).mean()
    value_loss = ((value - r) ** 2).mean()
    loss = policy_loss + 0.5 * value_loss - 0.01 * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
    optimizer.step()
    avg = 0.98 * avg + 0.02 * r.mean().item()
    if (it + 1) % 200 == 0:
        print('iter %5d   reward %.3f   loss %.4f' % (it + 1, avg, loss.item()))

with torch.no_grad():
    d, _ = agent(torch.tensor(X_eval))
    acc = (d.probs.argmax(-1).numpy() == y_eval).mean()
print('greedy reward on unseen digits: %.4f' % acc)
