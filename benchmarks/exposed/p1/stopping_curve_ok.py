import os, random
import numpy as np
import torch
import torch.nn as nn

# fix random seed for reproducibility
seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

# datapoints: speed (10 m/s) -> stopping distance (10 m), 200 measured runs
X = np.random.uniform(0.0, 4.0, (200, 1))
y = 0.5 * X ** 2 + 1.2 * X + 0.15 * np.random.randn(200, 1)
X, y = torch.tensor(X).float(), torch.tensor(y).float()
X_tr, y_tr, X_te, y_te = X[:150], y[:150], X[150:], y[150:]

# model
model = nn.Sequential(
    nn.Linear(1, 50),
    nn.ReLU(),
    nn.Linear(50, 30),
    nn.ReLU(),
    nn.Linear(30, 1),
)

# training
sgd = torch.optim.SGD(model.parameters(), lr=0.002, momentum=0.9)
mse = nn.MSELoss()
for epoch in range(1, 401):
    perm = torch.randperm(150)
    for i in range(0, 150, 32):
        j = perm[i:i + 32]
        sgd.zero_grad()
        loss = mse(model(X_tr[j]), y_tr[j])
        loss.backward()
        sgd.step()
    if epoch % 40 == 0 or epoch < 4:
        with torch.no_grad():
            print(f"epoch {epoch:4d} | mse {mse(model(X_tr), y_tr).item():.4f}")

# predictions
with torch.no_grad():
    pred = model(X_te)
for k in range(6):
    print(f"speed {X_te[k].item():5.2f}  actual {y_te[k].item():6.2f}  predicted {pred[k].item():6.2f}")
print("test rmse:", ((pred - y_te) ** 2).mean().sqrt().item())
