# Bishop's inverse problem: many x for one y, so the network gives a mixture of Gaussians.
import math
import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def toy(n):
    x = torch.rand(n, 1)
    return x + 0.3 * torch.sin(2 * math.pi * x) + 0.1 * (torch.rand(n, 1) * 2 - 1), x


class MDN(nn.Module):
    def __init__(self, hidden=40, parts=5):
        super().__init__()
        self.h = nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.pi, self.mu, self.ls = (nn.Linear(hidden, parts) for _ in range(3))
        nn.init.constant_(self.ls.bias, -1.0)
        with torch.no_grad():
            self.mu.bias.copy_(torch.linspace(0.1, 0.9, parts))

    def forward(self, y, x):
        h = self.h(2 * y - 1)
        mix = torch.distributions.Categorical(logits=self.pi(h))
        comp = torch.distributions.Normal(self.mu(h), self.ls(h).clamp(-5, 2).exp())
        return torch.distributions.MixtureSameFamily(mix, comp).log_prob(x.squeeze(1))


class Fitter:
    def __init__(self, lr=1e-2, epochs=100, batch=100):
        self.net, self.epochs, self.batch = MDN(), epochs, batch
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.sched = torch.optim.lr_scheduler.CosineAnnealingLR(self.opt, epochs)

    def fit(self, y, x):
        for e in range(self.epochs):
            run = 0
            for b in torch.randperm(len(y)).split(self.batch):
                loss = -self.net(y[b], x[b]).mean()
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()
                run += loss.item() * len(b)
            self.sched.step()
            if e % 8 == 7:
                print("epoch", e + 1, "negative log-likelihood %.4f" % (run / len(y)))
        return self

    @torch.no_grad()
    def score(self, y, x):
        return -self.net(y, x).mean().item()


train, test = toy(3000), toy(3000)
model = Fitter().fit(*train)
print("one Gaussian for all: %.4f" % -torch.distributions.Normal(train[1].mean(), train[1].std()).log_prob(test[1]).mean())
print("test nll %.4f" % model.score(*test))
