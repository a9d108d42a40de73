"""Two-valued relation with changing noise, fitted by a mixture density network."""
import os, math
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def sample(n):
    x = np.random.uniform(-2, 2, n)
    branch = np.where(np.random.rand(n) < 0.5 + 0.2 * np.sin(x), 1.0, -1.0)
    y = branch * (1 + 0.4 * x) + np.sin(2 * x) + (0.12 + 0.04 * x ** 2) * np.random.randn(n)
    f = lambda a: torch.tensor(a, dtype=torch.float32).unsqueeze(1)
    return f(x), f(y)


class MDN(nn.Module):
    def __init__(self, n_hidden, n_gaussians):
        super().__init__()
        self.z_h = nn.Sequential(nn.Linear(1, n_hidden), nn.Tanh(), nn.Linear(n_hidden, n_hidden), nn.Tanh())
        self.z_pi = nn.Linear(n_hidden, n_gaussians)
        self.z_mu = nn.Linear(n_hidden, n_gaussians)
        self.z_logsigma = nn.Linear(n_hidden, n_gaussians)
        with torch.no_grad():
            self.z_mu.bias.copy_(torch.linspace(-1.5, 1.5, n_gaussians))
            self.z_logsigma.bias.fill_(-0.5)

    def forward(self, x):
        h = self.z_h(x)
        return torch.log_softmax(self.z_pi(h), -1), self.z_mu(h), self.z_logsigma(h).clamp(min=-5)


def mdn_loss(log_pi, mu, log_sigma, y):
    logp = -0.5 * ((y - mu) / log_sigma.exp()) ** 2 - log_sigma - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(log_pi + logp, dim=1).mean()


x_train, y_train = sample(4000)
x_test, y_test = sample(4000)
network = MDN(48, 3)
EPOCHS = 40
optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
for epoch in range(EPOCHS):
    for b in torch.randperm(len(x_train)).split(100):
        loss = mdn_loss(*network(x_train[b]), y_train[b])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    scheduler.step()
    if epoch % 10 == 0:
        with torch.no_grad():
            print(epoch, "train nll", mdn_loss(*network(x_train), y_train).item())
with torch.no_grad():
    print("test negative log likelihood %.4f" % mdn_loss(*network(x_test), y_test).item())
