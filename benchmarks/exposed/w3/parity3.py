import os, random, math
import numpy as np, torch
from torch.nn import functional as F

seed = int(os.environ.get("SEED", "0")); random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

# product of three hidden bits out of 60; nothing to see for a while, then it clicks
D, M, BATCH, ETA, STEPS = 60, 128, 128, 0.4, 5000
secret = np.random.choice(D, 3, replace=False)

def draw(n):
    x = torch.randint(0, 2, (n, D)).float() * 2 - 1
    return x, (x[:, secret].prod(1) + 1) / 2

w = (torch.randn(D, M) / math.sqrt(D)).requires_grad_()
b = (torch.rand(M) - 0.5).requires_grad_()
a = (torch.randn(M) / math.sqrt(M)).requires_grad_()
theta = (w, b, a)
net = lambda x: F.relu(x @ w + b) @ a

test_x, test_y = draw(4000)
solved = None
for step in range(STEPS):
    x, y = draw(BATCH)
    loss = F.binary_cross_entropy_with_logits(net(x), y)
    grads = torch.autograd.grad(loss, theta)
    with torch.no_grad():
        for p, g in zip(theta, grads):
            p -= ETA * g
        if step % 250 == 249:
            acc = ((net(test_x) > 0) == (test_y > 0.5)).float().mean().item()
            print(f"{step + 1:>6} {loss.item():.4f} {acc:.3f}")
with torch.no_grad():
    acc = ((net(test_x) > 0) == (test_y > 0.5)).float().mean().item()
print("accuracy on 4000 fresh strings:", round(acc, 4))
