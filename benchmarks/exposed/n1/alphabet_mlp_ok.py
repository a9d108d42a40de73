# port of our old TF1 script (feed-forward classifier) to torch
import os
import random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# settings carried over from the tf version
config = {
    "n_hidden_1": 64,
    "n_hidden_2": 64,
    "dropout": 0.2,
    "learning_rate": 0.001,
    "training_epochs": 60,
    "batch_size": 50,
}

digits = load_digits()
X = digits.data.astype("float32") / 16.0
y = digits.target
x_train, x_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=SEED, stratify=y)
x_train, x_test = torch.from_numpy(x_train), torch.from_numpy(x_test)
y_train, y_test = torch.from_numpy(y_train), torch.from_numpy(y_test)


class MultilayerPerceptron(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.h1 = nn.Linear(64, cfg["n_hidden_1"])
        self.h2 = nn.Linear(cfg["n_hidden_1"], cfg["n_hidden_2"])
        self.out = nn.Linear(cfg["n_hidden_2"], 10)
        self.drop = nn.Dropout(cfg["dropout"])

    def forward(self, x):
        x = self.drop(torch.relu(self.h1(x)))
        x = self.drop(torch.relu(self.h2(x)))
        return self.out(x)


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


model = MultilayerPerceptron(config)
cost = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"])

n_batches = len(x_train) // config["batch_size"]
for epoch in range(config["training_epochs"]):
    model.train()
    perm = torch.randperm(len(x_train))
    avg_cost = 0.0
    for b in range(n_batches):
        idx = perm[b * config["batch_size"]:(b + 1) * config["batch_size"]]
        optimizer.zero_grad()
        c = cost(model(x_train[idx]), y_train[idx])
        c.backward()
        optimizer.step()
        avg_cost += c.item() / n_batches
    if epoch % 10 == 0 or epoch == config["training_epochs"] - 1:
        print("Epoch: %04d cost=%.6f train=%.4f" % (epoch + 1, avg_cost, accuracy(model, x_train, y_train)))

print("Optimization Finished!")
print("test accuracy: %.4f" % accuracy(model, x_test, y_test))
