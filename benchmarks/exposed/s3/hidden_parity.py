"""Three of 36 bits decide (their parity), the rest is noise.  Nothing seems to happen for a while."""
import os
import random
import numpy as np
import torch

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

BITS, K = 36, 3
secret = random.sample(range(BITS), K)


def batch(n):
    x = torch.randint(0, 2, (n, BITS)).float() * 2 - 1
    return x, x[:, secret].prod(1)


class Net(torch.nn.Module):
    def __init__(self, width=128):
        super().__init__()
        self.a = torch.nn.Linear(BITS, width)
        self.b = torch.nn.Linear(width, 1)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))[:, 0]


xt, yt = batch(4000)
x, y = batch(8000)
net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
step = 0
for epoch in range(14):
    for i in torch.randperm(len(x)).split(128):
        margin = y[i] * net(x[i])
        loss = torch.relu(1 - margin).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
    with torch.no_grad():
        acc = ((net(xt) > 0) == (yt > 0)).float().mean().item()
    print(f"step {step:5d}  hinge {loss.item():.4f}  test accuracy {acc:.4f}")
