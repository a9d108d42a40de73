import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss, accuracy_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# small noisy screening table
X, y = make_classification(n_samples=2600, n_features=40, n_informative=8, n_redundant=4, n_clusters_per_class=2,
                           flip_y=0.2, class_sep=0.9, random_state=SEED)
X = X.astype(np.float32)
tr, va, te = slice(0, 400), slice(400, 800), slice(800, None)
mu, sd = X[tr].mean(0), X[tr].std(0)
X = torch.tensor((X - mu) / sd)
Y = torch.tensor(y)


class Trainer:
    def __init__(self, model, lr=1e-3, max_epochs=80):
        self.model, self.max_epochs = model, max_epochs
        self.opt = torch.optim.Adam(model.parameters(), lr=lr)
        self.loss = nn.CrossEntropyLoss()
        self.best_loss, self.best_epoch, self.best_state = float("inf"), -1, None

    def _epoch(self, x, y):
        self.model.train()
        total = 0.0
        for b in torch.randperm(len(x)).split(32):
            self.opt.zero_grad()
            l = self.loss(self.model(x[b]), y[b])
            l.backward()
            self.opt.step()
            total += l.item() * len(b)
        return total / len(x)

    @torch.no_grad()
    def score(self, x, y):
        self.model.eval()
        return self.loss(self.model(x), y).item()

    def fit(self, x, y, xv, yv):
        for epoch in range(self.max_epochs):
            tl = self._epoch(x, y)
            vl = self.score(xv, yv)
            if vl < self.best_loss:
                self.best_loss, self.best_epoch = vl, epoch
                self.best_state = self.model.state_dict()
            if epoch % 10 == 0:
                print(f"epoch {epoch} train {tl:.4f} valid {vl:.4f}")
        self.model.load_state_dict(self.best_state)
        print(f"restored weights of epoch {self.best_epoch} (valid loss {self.best_loss:.4f})")
        return self


net = nn.Sequential(nn.Linear(40, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2))
trainer = Trainer(net).fit(X[tr], Y[tr], X[va], Y[va])
net.eval()
with torch.no_grad():
    p = torch.softmax(net(X[te]), 1).numpy()
print(f"test log loss {log_loss(y[te], p):.4f}  accuracy {accuracy_score(y[te], p.argmax(1)):.4f}")
