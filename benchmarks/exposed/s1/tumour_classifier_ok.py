import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

seed = int(os.environ.get('SEED', 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

# load the 30 measurements per patient
bunch = load_breast_cancer()
X, y = bunch.data.astype(np.float32), bunch.target.astype(np.int64)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)

mean, std = X_train.mean(0), X_train.std(0)
X_train, X_test = (X_train - mean) / std, (X_test - mean) / std
X_train, X_test = torch.from_numpy(X_train), torch.from_numpy(X_test)
y_train, y_test = torch.from_numpy(y_train), torch.from_numpy(y_test)

# network: 30 - 16 - 8 - 2
net = nn.Sequential()
net.add_module('fc1', nn.Linear(30, 16))
net.add_module('act1', nn.Sigmoid())
net.add_module('fc2', nn.Linear(16, 8))
net.add_module('act2', nn.Sigmoid())
net.add_module('fc3', nn.Linear(8, 2))

loss_fn = nn.CrossEntropyLoss()
optim = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

n = len(X_train)
for epoch in range(80):
    order = np.random.permutation(n)
    ep_loss, hits = 0.0, 0
    for start in range(0, n, 16):
        rows = order[start:start + 16]
        scores = net(X_train[rows])
        loss = loss_fn(scores, y_train[rows])
        net.zero_grad()
        loss.backward()
        optim.step()
        ep_loss += loss.item() * len(rows)
        hits += (scores.argmax(1) == y_train[rows]).sum().item()
    if epoch % 10 == 9:
        print('epoch', epoch + 1, 'loss', round(ep_loss / n, 4), 'acc', round(hits / n, 4))

with torch.no_grad():
    p = net(X_test).argmax(1)
print('predicted classes', np.bincount(p.numpy(), minlength=2), 'true', np.bincount(y_test.numpy()))
print('test accuracy', round((p == y_test).float().mean().item(), 4))
