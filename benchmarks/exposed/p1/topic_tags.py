# multi label: which topics does a bag of words document touch?
import os, random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_multilabel_classification
from sklearn.model_selection import train_test_split
from sklearn.metrics import f1_score, accuracy_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

dummyX, dummyY = make_multilabel_classification(n_samples=4000, n_features=40, n_classes=6, n_labels=3,
                                                length=120, allow_unlabeled=True, random_state=7)
dummyX = np.log1p(dummyX)
X_train, X_test, y_train, y_test = train_test_split(dummyX, dummyY, test_size=0.20, random_state=SEED)
mu, sd = X_train.mean(0), X_train.std(0)
X_train = torch.tensor((X_train - mu) / sd, dtype=torch.float32)
X_test = torch.tensor((X_test - mu) / sd, dtype=torch.float32)
y_train = torch.tensor(y_train, dtype=torch.float32)


class Tagger:
    def __init__(self, n_in, n_out, lr=1e-3):
        self.net = nn.Sequential(nn.Linear(n_in, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, n_out))
        self.opt = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.loss = nn.CrossEntropyLoss()

    def fit(self, X, y, epochs=20, batch_size=32):
        for e in range(epochs):
            self.net.train()
            total = 0.0
            for idx in torch.randperm(len(X)).split(batch_size):
                self.opt.zero_grad()
                l = self.loss(self.net(X[idx]), y[idx])
                l.backward()
                self.opt.step()
                total += l.item() * len(idx)
            print(f"epoch {e + 1:02d}  loss {total / len(X):.4f}")
        return self

    @torch.no_grad()
    def predict(self, X):
        self.net.eval()
        proba = torch.softmax(self.net(X), dim=1)
        return (proba > 0.5).int().numpy()


clf = Tagger(40, 6).fit(X_train, y_train)
pred = clf.predict(X_test)
print("labels per document:", y_test.sum(1).mean(), "predicted:", pred.sum(1).mean())
print("exact match", accuracy_score(y_test, pred), " micro F1", f1_score(y_test, pred, average="micro"))
