"""Tagging short documents: bag of words in, any number of tags out."""
import os
import random
import numpy as np
import torch
from torch import nn, optim
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

counts, tags = make_multilabel_classification(
    n_samples=4000, n_features=120, n_classes=14, n_labels=2, length=80,
    allow_unlabeled=False, random_state=SEED)
counts = np.log1p(counts).astype("float32")
x_train, x_test, y_train, y_test = train_test_split(counts, tags.astype("float32"), test_size=0.25, random_state=SEED)
print("mean number of tags per document: %.2f" % y_train.mean(0).sum())


class TagModel:
    def __init__(self, n_in, n_out, lr=0.1, batch_size=100):
        self.net = nn.Sequential(
            nn.Linear(n_in, 256), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(256, 64), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(64, n_out))
        self.opt = optim.SGD(self.net.parameters(), lr=lr, momentum=0.9, nesterov=True)
        self.loss = nn.BCEWithLogitsLoss()
        self.batch_size = batch_size

    def fit(self, x, y, epochs):
        x, y = torch.from_numpy(x), torch.from_numpy(y)
        self.net.train()
        for e in range(epochs):
            seen, acc = 0, 0.0
            perm = torch.randperm(len(x))
            for i in range(0, len(x), self.batch_size):
                j = perm[i:i + self.batch_size]
                self.opt.zero_grad()
                loss = self.loss(self.net(x[j]), y[j])
                loss.backward()
                self.opt.step()
                acc += loss.item() * len(j)
                seen += len(j)
            if e % 5 == 4:
                print("epoch %2d  loss %.4f" % (e + 1, acc / seen))
        return self

    @torch.no_grad()
    def predict(self, x):
        self.net.eval()
        return (torch.sigmoid(self.net(torch.from_numpy(x))) > 0.5).int().numpy()


clf = TagModel(x_train.shape[1], y_train.shape[1]).fit(x_train, y_train, epochs=30)
pred = clf.predict(x_test)
preds = pred[:3].tolist()
print("first rows", preds)
print("micro F1 %.4f  macro F1 %.4f" % (f1_score(y_test, pred, average="micro", zero_division=0),
                                        f1_score(y_test, pred, average="macro", zero_division=0)))
