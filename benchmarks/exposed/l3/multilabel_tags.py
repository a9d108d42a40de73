import os
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import make_multilabel_classification
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import f1_score, average_precision_score

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)

X, Y = make_multilabel_classification(n_samples=5000, n_features=200, n_classes=15, n_labels=3, length=60,
                                      allow_unlabeled=False, random_state=SEED)
n_train, n_val = 3500, 500
tfidf = TfidfTransformer(sublinear_tf=True).fit(X[:n_train])
X = torch.tensor(tfidf.transform(X).toarray() * 10, dtype=torch.float32)
Y = torch.tensor(Y, dtype=torch.float32)
Xtr, Ytr = X[:n_train], Y[:n_train]
Xva, Yva = X[n_train:n_train + n_val], Y[n_train:n_train + n_val]
Xte, Yte = X[n_train + n_val:], Y[n_train + n_val:]
print("label frequency", Ytr.mean(0).numpy().round(2))

model = nn.Sequential(
    nn.Linear(200, 128),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(128, 15),
)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=3e-4)
n_epochs = 25
for epoch in range(n_epochs):
    model.train()
    perm = torch.randperm(n_train)
    epoch_loss = 0.0
    for k in range(0, n_train, 50):
        idx = perm[k:k + 50]
        optimizer.zero_grad()
        out = model(Xtr[idx])
        loss = criterion(out, Ytr[idx])
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        val_loss = criterion(model(Xva), Yva).item()
    if epoch % 3 == 0:
        print("Epoch %d: train %.4f, val %.4f" % (epoch, epoch_loss / n_train, val_loss))

model.eval()
with torch.no_grad():
    pv, pt = torch.sigmoid(model(Xva)).numpy(), torch.sigmoid(model(Xte)).numpy()

# one decision threshold, chosen on the validation part
grid = np.linspace(0.2, 0.6, 21)
thr = grid[np.argmax([f1_score(Yva, pv > g, average="micro") for g in grid])]
print("threshold %.2f  micro F1 %.4f" % (thr, f1_score(Yte, pt > thr, average="micro")))
print("exact match %.4f" % ((pt > thr) == Yte.numpy().astype(bool)).all(1).mean())
print("mAP %.4f" % average_precision_score(Yte, pt))
