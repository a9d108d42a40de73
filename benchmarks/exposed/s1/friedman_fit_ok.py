import os, random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


class Regressor:
    """scikit-learn-like wrapper"""

    def __init__(self, hidden=(64, 32), lr=3e-3, epochs=40, batch_size=64):
        self.hidden, self.lr, self.epochs, self.batch_size = hidden, lr, epochs, batch_size

    def _build(self, d):
        layers = []
        for h in self.hidden:
            layers += [nn.Linear(d, h), nn.ReLU()]
            d = h
        layers.append(nn.Linear(d, 1))
        return nn.Sequential(*layers)

    def fit(self, X, y, verbose=5):
        X = torch.as_tensor(X, dtype=torch.float32)
        y = torch.as_tensor(y, dtype=torch.float32).view(-1, 1)
        self.xm, self.xs = X.mean(0), X.std(0)
        self.ym, self.ys = y.mean(), y.std()
        X, y = (X - self.xm) / self.xs, (y - self.ym) / self.ys
        self.net = self._build(X.shape[1])
        opt = torch.optim.Adam(self.net.parameters(), lr=self.lr)
        size = self.batch_size or len(X)
        for ep in range(self.epochs):
            perm = torch.randperm(len(X))
            s = 0.0
            for i in range(0, len(X), size):
                j = perm[i:i + size]
                loss = ((self.net(X[j]) - y[j]) ** 2).mean()
                opt.zero_grad()
                loss.backward()
                opt.step()
                s += loss.item() * len(j)
            if verbose and (ep + 1) % verbose == 0:
                print(f"epoch {ep + 1}/{self.epochs}  mse {s / len(X):.4f}")
        return self

    def predict(self, X):
        X = (torch.as_tensor(X, dtype=torch.float32) - self.xm) / self.xs
        with torch.no_grad():
            return (self.net(X) * self.ys + self.ym).squeeze(1).numpy()


if __name__ == "__main__":
    seed = int(os.environ.get("SEED", 0))
    set_seed(seed)
    X, y = make_friedman1(n_samples=5000, n_features=8, noise=1.0, random_state=seed)
    model = Regressor()
    model.fit(X[:3500], y[:3500])
    print("R2 train", round(r2_score(y[:3500], model.predict(X[:3500])), 4))
    print("R2 test ", round(r2_score(y[3500:], model.predict(X[3500:])), 4))
