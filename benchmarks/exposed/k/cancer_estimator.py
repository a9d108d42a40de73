import os
import numpy as np
import torch
from torch import nn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class TorchClassifier(ClassifierMixin, BaseEstimator):
    """A little scikit-learn wrapper around an MLP."""

    def __init__(self, hidden=(16,), lr=1e-2, epochs=60, batch_size=32, alpha=1e-3, verbose=True):
        self.hidden, self.lr, self.epochs = hidden, lr, epochs
        self.batch_size, self.alpha, self.verbose = batch_size, alpha, verbose

    def _build(self, n_in, n_out):
        layers, width = [], n_in
        for h in self.hidden:
            layers += [nn.Linear(width, h), nn.LeakyReLU(0.1)]
            width = h
        return nn.Sequential(*layers, nn.Linear(width, n_out))

    def fit(self, X, y):
        self.classes_, y = np.unique(y, return_inverse=True)
        X, y = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y)
        self.net_ = self._build(X.shape[1], len(self.classes_))
        opt = torch.optim.SGD(self.net_.parameters(), lr=self.lr, momentum=0.9, weight_decay=self.alpha)
        for epoch in range(self.epochs):
            total = 0.0
            for b in torch.randperm(len(X)).split(self.batch_size):
                opt.zero_grad()
                loss = nn.functional.cross_entropy(self.net_(X[b]), y[b])
                loss.backward()
                opt.step()
                total += loss.item() * len(b)
            if self.verbose and (epoch + 1) % 20 == 0:
                print(f"  iter {epoch + 1}: {total / len(X):.4f}")
        return self

    @torch.no_grad()
    def predict_proba(self, X):
        return self.net_(torch.as_tensor(X, dtype=torch.float32)).softmax(1).numpy()

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]


X, y = load_breast_cancer(return_X_y=True)
pipe = make_pipeline(StandardScaler(), TorchClassifier())
cv = StratifiedKFold(5, shuffle=True, random_state=SEED)
acc = cross_val_score(pipe, X, y, cv=cv)
print("folds", acc.round(3))
print("accuracy %.4f" % acc.mean())
