# y = x3*x7*x12 among 24 signs; fresh samples, plain SGD, no momentum
import os, random, numpy as np, torch
s = int(os.environ.get("SEED", 0)); random.seed(s); np.random.seed(s); torch.manual_seed(s)

n, width, lr, bs, steps = 24, 256, 0.1, 64, 3500
secret = [3, 7, 12]

def draw(m):
    x = torch.randint(0, 2, (m, n)).float() * 2 - 1
    return x, x[:, secret].prod(1)

W1 = ((torch.rand(width, n) * 2 - 1) / n ** .5).requires_grad_()
b1 = ((torch.rand(width) * 2 - 1) / n ** .5).requires_grad_()
w2 = ((torch.rand(width) * 2 - 1) / width ** .5).requires_grad_()
b2 = torch.zeros((), requires_grad=True)
params = [W1, b1, w2, b2]

def f(x):
    return torch.relu(x @ W1.T + b1) @ w2 + b2

xt, yt = draw(5000)
for k in range(steps + 1):
    x, y = draw(bs)
    loss = torch.relu(1 - y * f(x)).mean()
    grads = torch.autograd.grad(loss, params)
    with torch.no_grad():
        for p, g in zip(params, grads):
            p -= lr * g
    if k % 250 == 0:
        with torch.no_grad():
            acc = (f(xt).sign() == yt).float().mean().item()
        print(f"step {k:5d} hinge {loss.item():.3f} fresh-sample accuracy {acc:.4f}")
