# two layer network written with plain tensors
import os, random
import numpy as np
import torch
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

X, Y = make_moons(1500, noise=0.2, random_state=seed)
x_train, x_test, y_train, y_test = train_test_split(X, Y, test_size=0.3, random_state=seed)
x_train, x_test = torch.tensor(x_train).float(), torch.tensor(x_test).float()
y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)

n_in, n_hidden, n_out = 2, 30, 2

# First layer of the NN
W1 = torch.zeros(n_in, n_hidden).requires_grad_()
b1 = torch.zeros(n_hidden).requires_grad_()
# Second layer of the NN
W2 = torch.zeros(n_hidden, n_out).requires_grad_()
b2 = torch.zeros(n_out).requires_grad_()
params = [W1, b1, W2, b2]


def net(x):
    out1 = torch.tanh(x @ W1 + b1)
    return out1 @ W2 + b2


def cross_entropy(logits, y):
    logp = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return -logp[torch.arange(len(y)), y].mean()


learning_rate = 0.5
batch = 100
for step in range(3000):
    idx = torch.randint(0, len(x_train), (batch,))
    cost = cross_entropy(net(x_train[idx]), y_train[idx])
    cost.backward()
    with torch.no_grad():
        for p in params:
            p -= learning_rate * p.grad
            p.grad.zero_()
    if step % 300 == 0:
        with torch.no_grad():
            acc = (net(x_train).argmax(1) == y_train).float().mean().item()
        print("step", step, "cost", round(cost.item(), 4), "train accuracy", round(acc, 3))

with torch.no_grad():
    print("Accuracy:", (net(x_test).argmax(1) == y_test).float().mean().item())
