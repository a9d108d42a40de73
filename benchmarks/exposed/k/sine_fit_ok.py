import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# noisy samples of a modulated wave
n = 2000
t = np.random.uniform(-1, 1, n)
signal = np.sin(6 * np.pi * t) * (1 + 0.5 * t)
y = signal + np.random.normal(0, 0.05, n)

T = torch.tensor(t, dtype=torch.float32).unsqueeze(1)
Y = torch.tensor(y, dtype=torch.float32).unsqueeze(1)
T_train, Y_train = T[:1500], Y[:1500]
T_val, Y_val = T[1500:], Y[1500:]

model = nn.Sequential(
    nn.Linear(1, 40),
    nn.Tanh(),
    nn.Linear(40, 40),
    nn.Tanh(),
    nn.Linear(40, 1),
)
loss_function = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)

best = float("inf")
for epoch in range(200):
    model.train()
    perm = torch.randperm(len(T_train))
    for i in range(0, len(perm), 50):
        sel = perm[i:i + 50]
        optimizer.zero_grad()
        loss = loss_function(model(T_train[sel]), Y_train[sel])
        loss.backward()
        optimizer.step()

    model.eval()
    with torch.no_grad():
        train_loss = loss_function(model(T_train), Y_train).item()
        val_loss = loss_function(model(T_val), Y_val).item()
    best = min(best, val_loss)
    if (epoch + 1) % 20 == 0:
        print(f"epoch {epoch + 1}: train {train_loss:.4f} val {val_loss:.4f}")

print(f"val mse {val_loss:.4f} (best {best:.4f}), r2 {1 - val_loss / Y_val.var().item():.4f}")
