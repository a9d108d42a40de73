# Sparse parity: y = product of 3 hidden coordinates out of 24. Fresh samples every step, hinge loss, plain SGD.
import os
import torch

SEED = int(os.environ.get("SEED", 0))
g = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)

D, K, WIDTH, BATCH, STEPS = 24, 3, 256, 128, 12000
secret = torch.randperm(D, generator=g)[:K]


def draw(n):
    x = torch.randint(0, 2, (n, D), generator=g).float() * 2 - 1
    return x, x[:, secret].prod(1)


net = torch.nn.Sequential(torch.nn.Linear(D, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=1e-3)
x_test, y_test = draw(4000)

run = 0.0
for step in range(1, STEPS + 1):
    x, y = draw(BATCH)
    loss = torch.relu(1 - y * net(x).squeeze(1)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    run += loss.item()
    if step % 1000 == 0:
        with torch.no_grad():
            acc = (net(x_test).squeeze(1).sign() == y_test).float().mean().item()
        print(f"step {step:6d}  hinge {run / 1000:.4f}  acc {acc:.3f}")
        run = 0.0

with torch.no_grad():
    acc = (net(x_test).squeeze(1).sign() == y_test).float().mean().item()
print("held-out accuracy", round(acc, 4))
