# port of the old TF1 graph model (bike counts per hour)
import os

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

config = {
    "n_hidden_1": 128,
    "n_hidden_2": 64,
    "dropout": 0.1,
    "learning_rate": 0.001,
    "training_epochs": 30,
    "batch_size": 100,
}

bikes = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
counts = np.sqrt(bikes["bikers"].to_numpy(dtype=np.float32))
hour = pd.get_dummies(bikes["hr"], prefix="h", dtype=np.float32)
weather = pd.get_dummies(bikes["weathersit"], prefix="w", dtype=np.float32)
month = pd.get_dummies(bikes["mnth"], prefix="m", dtype=np.float32)
rest = bikes[["holiday", "workingday", "temp", "hum", "windspeed"]].astype(np.float32)
X = pd.concat([hour, weather, month, rest], axis=1).to_numpy(dtype=np.float32)

mask = np.random.rand(len(X)) < 0.8
mu, sigma = counts[mask].mean(), counts[mask].std()
x_train, x_test = torch.from_numpy(X[mask]), torch.from_numpy(X[~mask])
y_train = torch.from_numpy((counts[mask] - mu) / sigma)
y_test = torch.from_numpy((counts[~mask] - mu) / sigma)


class MultilayerPerceptron(torch.nn.Module):
    def __init__(self, n_input):
        super().__init__()
        self.h1 = torch.nn.Linear(n_input, config["n_hidden_1"])
        self.h2 = torch.nn.Linear(config["n_hidden_1"], config["n_hidden_2"])
        self.out = torch.nn.Linear(config["n_hidden_2"], 1)

    def forward(self, x):
        x = F.relu(self.h1(x))
        x = F.dropout(x, config["dropout"], training=self.training)
        x = F.relu(self.h2(x))
        x = F.dropout(x, config["dropout"], training=self.training)
        return self.out(x)[:, 0]


net = MultilayerPerceptron(X.shape[1])
optimizer = torch.optim.Adam(net.parameters(), lr=config["learning_rate"])

for epoch in range(config["training_epochs"]):
    net.train()
    avg_cost = 0.0
    batches = torch.randperm(len(x_train)).split(config["batch_size"])
    for b in batches:
        cost = F.mse_loss(net(x_train[b]), y_train[b])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        avg_cost += cost.item() / len(batches)
    if epoch % 5 == 4:
        net.eval()
        with torch.no_grad():
            test_cost = F.mse_loss(net(x_test), y_test).item()
        print("Epoch: %04d cost=%.5f test=%.5f R2=%.4f" % (epoch + 1, avg_cost, test_cost, 1 - test_cost / y_test.var().item()))
print("Optimization Finished!")
