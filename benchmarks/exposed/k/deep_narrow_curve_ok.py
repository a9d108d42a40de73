import os
import math
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

WIDTH, DEPTH = 3, 12


def make_net():
    layers, n_in = [], 2
    for _ in range(DEPTH):
        lin = nn.Linear(n_in, WIDTH)
        nn.init.kaiming_normal_(lin.weight)
        nn.init.zeros_(lin.bias)
        layers += [lin, nn.LeakyReLU(0.3)]
        n_in = WIDTH
    layers.append(nn.Linear(n_in, 1))
    return nn.Sequential(*layers)


def target(x):
    return (x[:, :1].abs() - x[:, 1:].abs()) / math.sqrt(3)


x_train = torch.rand(3000, 2) * 2 * math.sqrt(3) - math.sqrt(3)
y_train = target(x_train)
x_test = torch.rand(1000, 2) * 2 * math.sqrt(3) - math.sqrt(3)
y_test = target(x_test)

net = make_net()
print(sum(p.numel() for p in net.parameters()), "parameters")
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
mse = nn.MSELoss()

for epoch in range(1, 61):
    net.train()
    for idx in torch.randperm(len(x_train)).split(100):
        optimizer.zero_grad()
        loss = mse(net(x_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
    if epoch % 6 == 0:
        net.eval()
        with torch.no_grad():
            test_mse = mse(net(x_test), y_test).item()
        print(f"epoch {epoch}: last batch {loss.item():.5f}, test mse {test_mse:.5f}, r2 {1 - test_mse / y_test.var().item():.4f}")
