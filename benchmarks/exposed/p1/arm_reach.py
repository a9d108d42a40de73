import os
import random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# planar arm with 3 joints, lengths .5 .3 .2: joint angles -> position of the gripper
N = 4000
theta = np.random.uniform(-np.pi / 2, np.pi / 2, (N, 3))
cum = np.cumsum(theta, axis=1)
L = np.array([0.5, 0.3, 0.2])
pos = np.stack([(L * np.cos(cum)).sum(1), (L * np.sin(cum)).sum(1)], axis=1)
pos += 0.01 * np.random.randn(*pos.shape)

x = torch.tensor(theta, dtype=torch.float32)
y = torch.tensor(pos, dtype=torch.float32)
x_train, y_train = x[:3200], y[:3200]
x_test, y_test = x[3200:], y[3200:]


class ArmNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(3, 64)
        self.layer2 = nn.Linear(64, 64)
        self.layer3 = nn.Linear(64, 2)

    def forward(self, inp):
        h = self.layer1(inp)
        h = self.layer2(h)
        return self.layer3(h)


model = ArmNet()
print(model)
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
loss_func = nn.MSELoss()

for epoch in range(40):
    perm = np.random.permutation(len(x_train))
    running = 0.0
    for i in range(0, len(perm), 64):
        sel = perm[i:i + 64]
        pred = model(x_train[sel])
        loss = loss_func(pred, y_train[sel])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
    with torch.no_grad():
        t = loss_func(model(x_test), y_test).item()
    if epoch % 5 == 4:
        print("epoch: %d  train loss: %.5f  test loss: %.5f" % (epoch + 1, running / (len(perm) / 64), t))

with torch.no_grad():
    err = (model(x_test) - y_test).norm(dim=1)
print("mean distance to the true gripper position: %.4f m" % err.mean())
