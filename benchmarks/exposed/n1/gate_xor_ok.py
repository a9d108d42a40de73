import os
import random
import numpy as np
import torch
from torch import nn, optim

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# exclusive-or gate, inputs are noisy voltage levels around 0 and 1
bits = np.random.randint(0, 2, size=(1500, 2))
x = bits + np.random.normal(0, 0.15, size=bits.shape)
y = (bits[:, 0] ^ bits[:, 1]).reshape(-1, 1)

x_train = torch.from_numpy(x[:1000]).float()
y_train = torch.from_numpy(y[:1000]).float()
x_test = torch.from_numpy(x[1000:]).float()
y_test = torch.from_numpy(y[1000:]).float()

model = nn.Sequential(
    nn.Linear(2, 16),
    nn.Tanh(),
    nn.Linear(16, 1),
    nn.Sigmoid(),
)
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)

batch_size = 32
for epoch in range(60):
    order = torch.randperm(len(x_train))
    total = 0.0
    for i in range(0, len(x_train), batch_size):
        idx = order[i:i + batch_size]
        out = model(x_train[idx])
        loss = criterion(out, y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    if epoch % 10 == 9:
        print("Epoch %d/60 - loss: %.4f" % (epoch + 1, total / len(x_train)))

with torch.no_grad():
    pred = model(x_test)
    acc = ((pred > 0.5).float() == y_test).float().mean().item()
for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
    with torch.no_grad():
        print(a, b, "->", round(model(torch.tensor([[float(a), float(b)]])).item(), 3))
print("test accuracy: %.4f" % acc)
