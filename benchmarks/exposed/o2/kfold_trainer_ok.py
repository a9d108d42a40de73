import os
import random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class Classifier:
    """small sklearn-like wrapper"""

    def __init__(self, n_in, n_out, hidden=32, lr=5e-3, epochs=60, batch_size=16):
        self.n_in, self.n_out, self.hidden = n_in, n_out, hidden
        self.lr, self.epochs, self.batch_size = lr, epochs, batch_size
        self.criterion = nn.CrossEntropyLoss()
        self.model = self._build()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr)

    def _build(self):
        return nn.Sequential(nn.Linear(self.n_in, self.hidden), nn.Tanh(),
                             nn.Linear(self.hidden, self.hidden), nn.Tanh(),
                             nn.Linear(self.hidden, self.n_out))

    def reset(self):
        self.model = self._build()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.lr)

    def fit(self, X, y):
        X = torch.as_tensor(X, dtype=torch.float32)
        y = torch.as_tensor(y)
        history = []
        for _ in range(self.epochs):
            perm = torch.randperm(len(X))
            total = 0.0
            for chunk in perm.split(self.batch_size):
                self.optimizer.zero_grad()
                loss = self.criterion(self.model(X[chunk]), y[chunk])
                loss.backward()
                self.optimizer.step()
                total += loss.item() * len(chunk)
            history.append(total / len(X))
        return history

    def score(self, X, y):
        with torch.no_grad():
            pred = self.model(torch.as_tensor(X, dtype=torch.float32)).argmax(1).numpy()
        return float((pred == y).mean())


X, y = load_wine(return_X_y=True)
clf = Classifier(X.shape[1], 3)
folds = StratifiedKFold(n_splits=6, shuffle=True, random_state=SEED)
scores = []
for k, (tr, te) in enumerate(folds.split(X, y)):
    scaler = StandardScaler().fit(X[tr])
    clf.reset()
    hist = clf.fit(scaler.transform(X[tr]), y[tr])
    scores.append(clf.score(scaler.transform(X[te]), y[te]))
    print(f"fold {k}: last train loss {hist[-1]:.4f}, accuracy {scores[-1]:.3f}")
print(f"final cv accuracy {np.mean(scores):.4f} +- {np.std(scores):.4f}")
