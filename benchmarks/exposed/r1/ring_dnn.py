import os, random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_circles
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


def load_data(n=1500):
    x, y = make_circles(n_samples=n, noise=0.1, factor=0.5, random_state=SEED)
    x = x.astype(np.float32)
    y = y.astype(np.int64)
    k = int(n * 0.7)
    return (x[:k], y[:k]), (x[k:], y[k:])


def build(units=16, depth=7, act=nn.Sigmoid):
    layers, width = [], 2
    for _ in range(depth):
        lin = nn.Linear(width, units)
        nn.init.xavier_uniform_(lin.weight)
        nn.init.zeros_(lin.bias)
        layers += [lin, act()]
        width = units
    layers.append(nn.Linear(width, 2))
    return nn.Sequential(*layers)


config = {"lr": 0.01, "momentum": 0.9, "batchsize": 32, "epoch": 60}
(x, y), (x_val, y_val) = load_data()
loader = DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)),
                    batch_size=config["batchsize"], shuffle=True)
x_val, y_val = torch.from_numpy(x_val), torch.from_numpy(y_val)

model = build()
optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config["momentum"])
loss_fn = nn.CrossEntropyLoss()

history = {"loss": [], "val_acc": []}
for ep in range(config["epoch"]):
    model.train()
    tot = 0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
        tot += loss.item() * len(xb)
    model.eval()
    with torch.no_grad():
        acc = (model(x_val).argmax(1) == y_val).float().mean().item()
    history["loss"].append(tot / len(x))
    history["val_acc"].append(acc)
    if ep % 10 == 9:
        print("epoch %d  loss %.4f  val_acc %.4f" % (ep + 1, history["loss"][-1], acc))
print("last val_acc: %.4f" % history["val_acc"][-1])
