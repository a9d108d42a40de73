"""Rare-event detection with a weighted loss."""
import os

import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score, classification_report
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = make_classification(n_samples=9000, n_features=25, n_informative=10, n_redundant=5, n_clusters_per_class=2,
                           weights=[0.92, 0.08], class_sep=0.9, flip_y=0.02, random_state=21)
X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
scaler = StandardScaler()
X_tr = torch.from_numpy(scaler.fit_transform(X_tr)).float()
X_te = torch.from_numpy(scaler.transform(X_te)).float()
y_tr = torch.from_numpy(y_tr)


def calculate_class_weights(train_label):
    labels = train_label.tolist()
    num_neg = labels.count(0)
    num_pos = labels.count(1)
    total = num_neg + num_pos
    return torch.tensor([num_neg / total, num_pos / total])


class Detector:
    def __init__(self, n_features, epochs=15, batch_size=64):
        self.net = nn.Sequential(nn.Linear(n_features, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 2))
        self.epochs = epochs
        self.batch_size = batch_size

    def fit(self, X, y):
        w = calculate_class_weights(y)
        print("class weights:", w)
        loss_fn = nn.CrossEntropyLoss(weight=w)
        opt = torch.optim.Adam(self.net.parameters(), lr=1e-3, weight_decay=1e-4)
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=self.batch_size, shuffle=True)
        for epoch in range(self.epochs):
            total = 0
            for xb, yb in data:
                opt.zero_grad()
                loss = loss_fn(self.net(xb), yb)
                loss.backward()
                opt.step()
                total += loss.item()
            print("epoch", epoch, "loss", round(total / len(data), 4))
        return self

    @torch.no_grad()
    def predict(self, X):
        return self.net(X).argmax(1).numpy()


clf = Detector(X_tr.shape[1]).fit(X_tr, y_tr)
p = clf.predict(X_te)
print(classification_report(y_te, p, zero_division=0))
print("balanced accuracy", balanced_accuracy_score(y_te, p))
