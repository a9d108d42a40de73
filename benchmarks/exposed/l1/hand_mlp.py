# Multilayer perceptron written out by hand (weights, biases, forward), MNIST-like digits
import os
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
rng = np.random.RandomState(SEED)

learning_rate = 0.001
training_epochs = 30
batch_size = 32
display_step = 5
n_input, n_hidden_1, n_hidden_2, n_hidden_3, n_classes = 64, 256, 256, 128, 10

X, Y = load_digits(return_X_y=True)
perm = rng.permutation(len(X))
X, Y = X[perm], Y[perm]
scaler = StandardScaler().fit(X[:1300])
X = torch.tensor(scaler.transform(X), dtype=torch.float32)
Y = torch.tensor(Y)
train_x, train_y, test_x, test_y = X[:1300], Y[:1300], X[1300:], Y[1300:]


def variable(*shape):
    return torch.randn(*shape).requires_grad_()


weights = {
    "h1": variable(n_input, n_hidden_1),
    "h2": variable(n_hidden_1, n_hidden_2),
    "h3": variable(n_hidden_2, n_hidden_3),
    "out": variable(n_hidden_3, n_classes),
}
biases = {
    "b1": torch.zeros(n_hidden_1, requires_grad=True),
    "b2": torch.zeros(n_hidden_2, requires_grad=True),
    "b3": torch.zeros(n_hidden_3, requires_grad=True),
    "out": torch.zeros(n_classes, requires_grad=True),
}


def multilayer_perceptron(x):
    layer_1 = F.relu(x @ weights["h1"] + biases["b1"])
    layer_2 = F.relu(layer_1 @ weights["h2"] + biases["b2"])
    layer_3 = F.relu(layer_2 @ weights["h3"] + biases["b3"])
    return layer_3 @ weights["out"] + biases["out"]


optimizer = torch.optim.Adam(list(weights.values()) + list(biases.values()), lr=learning_rate)

for epoch in range(training_epochs):
    avg_cost = 0.0
    order = torch.randperm(len(train_x))
    batches = order.split(batch_size)
    for b in batches:
        cost = F.cross_entropy(multilayer_perceptron(train_x[b]), train_y[b])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        avg_cost += cost.item() / len(batches)
    if (epoch + 1) % display_step == 0:
        print("Epoch:", "%04d" % (epoch + 1), "cost=", "{:.9f}".format(avg_cost))
print("Optimization Finished!")

with torch.no_grad():
    pred = multilayer_perceptron(test_x)
    print("Accuracy:", (pred.argmax(1) == test_y).float().mean().item())
