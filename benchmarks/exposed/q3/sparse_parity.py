# Learning a 3-bit parity hidden among 20 bits: nothing seems to happen for a while, then it does.
import os
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)

n_bits, k = 20, 3
secret = torch.randperm(n_bits)[:k]


def draw(n):
    x = torch.randint(0, 2, (n, n_bits)).float() * 2 - 1
    return x, (x[:, secret].prod(1) > 0).float()


model = nn.Sequential(nn.Linear(n_bits, 128), nn.ReLU(), nn.Linear(128, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
criterion = nn.BCEWithLogitsLoss()

x_test, y_test = draw(5000)


def accuracy():
    with torch.no_grad():
        return ((model(x_test).squeeze(1) > 0).float() == y_test).float().mean().item()


for step in range(1, 4001):
    x, y = draw(128)          # always fresh bits
    loss = criterion(model(x).squeeze(1), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 200 == 0:
        print(f"step {step:5d}  loss {loss.item():.4f}")

print("secret bits:", sorted(secret.tolist()))
print(f"accuracy on fresh bits {accuracy():.4f}")
