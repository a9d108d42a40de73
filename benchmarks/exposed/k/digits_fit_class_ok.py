import os
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
rng = np.random.RandomState(SEED)
torch.manual_seed(SEED)


class MLPClassifier:
    """Small sklearn-like wrapper."""

    def __init__(self, hidden=(64, 32), lr=0.05, momentum=0.9, epochs=25, batch_size=50, verbose=5):
        self.hidden, self.lr, self.momentum = hidden, lr, momentum
        self.epochs, self.batch_size, self.verbose = epochs, batch_size, verbose

    def _build(self, n_in, n_out):
        sizes = [n_in, *self.hidden]
        mods = []
        for a, b in zip(sizes[:-1], sizes[1:]):
            mods += [nn.Linear(a, b), nn.ReLU()]
        mods.append(nn.Linear(sizes[-1], n_out))
        return nn.Sequential(*mods)

    def fit(self, X, y, X_val=None, y_val=None):
        self.net = self._build(X.shape[1], int(y.max()) + 1)
        opt = torch.optim.SGD(self.net.parameters(), lr=self.lr, momentum=self.momentum)
        ce = nn.CrossEntropyLoss()
        for ep in range(self.epochs):
            # new order every epoch
            order = rng.permutation(len(X))
            X, y = X[order], y[order]
            total = 0.0
            for s in range(0, len(X), self.batch_size):
                xb = torch.from_numpy(X[s:s + self.batch_size])
                yb = torch.from_numpy(y[s:s + self.batch_size])
                opt.zero_grad()
                loss = ce(self.net(xb), yb)
                loss.backward()
                opt.step()
                total += loss.item() * len(xb)
            if self.verbose and (ep + 1) % self.verbose == 0:
                msg = "epoch %d loss %.4f" % (ep + 1, total / len(X))
                if X_val is not None:
                    msg += " val_acc %.4f" % self.score(X_val, y_val)
                print(msg)
        return self

    def predict(self, X):
        with torch.no_grad():
            return self.net(torch.from_numpy(X)).argmax(1).numpy()

    def score(self, X, y):
        return float((self.predict(X) == y).mean())


digits = load_digits()
X = (digits.data / 16.0 - 0.5).astype(np.float32)
y = digits.target.astype(np.int64)
order = rng.permutation(len(X))
X, y = X[order], y[order]
X_train, y_train = X[:1200], y[:1200]
X_test, y_test = X[1200:], y[1200:]

clf = MLPClassifier(epochs=60).fit(X_train, y_train, X_test, y_test)
print("train accuracy", round(clf.score(X_train, y_train), 4))
print("test accuracy", round(clf.score(X_test, y_test), 4))
