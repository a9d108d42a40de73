# The XOR problem with four noisy clouds, a tiny net and plain full-batch gradient descent at a large rate.
import os
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
ANSWER = torch.tensor([0.0, 1.0, 1.0, 0.0])


def clouds(n, noise=0.2):
    k = torch.randint(0, 4, (n,))
    return CORNERS[k] + noise * torch.randn(n, 2), ANSWER[k].unsqueeze(1)


X, Y = clouds(600)
X_new, Y_new = clouds(4000)

H = 8
W1 = torch.randn(2, H) * 1.5
b1 = torch.randn(H) * 0.5
W2 = torch.randn(H, 1) * 0.7
b2 = torch.zeros(1)
params = [W1, b1, W2, b2]
for p in params:
    p.requires_grad_()


def logit(x):
    return torch.tanh((2 * x - 1) @ W1 + b1) @ W2 + b2


LR = 1.0
for it in range(6000):
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logit(X), Y)
    grads = torch.autograd.grad(loss, params)
    with torch.no_grad():
        for p, g in zip(params, grads):
            p.sub_(LR * g)
    if it % 600 == 0:
        print(f"iteration {it:4d} loss {loss.item():.4f}")

with torch.no_grad():
    acc = ((logit(X_new) > 0).float() == Y_new).float().mean().item()
    print("four corners:", torch.sigmoid(logit(CORNERS)).squeeze(1).numpy().round(3))
    print(f"accuracy on new points {acc:.4f}")
