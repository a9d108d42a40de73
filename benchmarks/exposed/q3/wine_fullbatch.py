import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

data = load_wine()
X, y = data.data.astype(np.float32), data.target


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn0 = nn.BatchNorm1d(13)      # raw units in, normalised here
        self.fc1 = nn.Linear(13, 16, bias=False)
        self.bn1 = nn.BatchNorm1d(16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        x = self.bn0(x)
        x = F.relu(self.bn1(self.fc1(x)))
        return self.fc2(x)


# plain gradient descent on the whole training set, step size 1
correct = 0
for fold, (tr, te) in enumerate(StratifiedKFold(5, shuffle=True, random_state=SEED).split(X, y)):
    net = Net()
    sgd = torch.optim.SGD(net.parameters(), lr=1.0)
    xt, yt = torch.from_numpy(X[tr]), torch.from_numpy(y[tr])
    net.train()
    for step in range(60):
        sgd.zero_grad()
        loss = F.cross_entropy(net(xt), yt, label_smoothing=0.05)
        loss.backward()
        sgd.step()
        if fold == 0 and step % 10 == 0:
            print("step %2d loss %.4f" % (step, loss.item()))
    net.eval()
    with torch.no_grad():
        ok = (net(torch.from_numpy(X[te])).argmax(1).numpy() == y[te]).sum()
    correct += int(ok)
    print("fold %d: final loss %.4f, %d of %d right" % (fold, loss.item(), ok, len(te)))
print("accuracy over folds: %.4f" % (correct / len(y)))
