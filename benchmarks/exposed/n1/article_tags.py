"""Assign topics to short articles. Input: word counts, output: 12 topics, an article may have several."""
import os
import random
import numpy as np
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, Y = make_multilabel_classification(n_samples=5000, n_features=120, n_classes=12, n_labels=3,
                                      length=80, allow_unlabeled=False, random_state=11)
X = np.log1p(X)
Xtr, Xte, Ytr, Yte = train_test_split(X, Y, test_size=0.3, random_state=SEED)
mu, sd = Xtr.mean(0), Xtr.std(0) + 1e-6
Xtr = torch.tensor((Xtr - mu) / sd, dtype=torch.float32)
Xte = torch.tensor((Xte - mu) / sd, dtype=torch.float32)
Ytr = torch.tensor(Ytr, dtype=torch.float32)

net = torch.nn.Sequential(
    torch.nn.Linear(120, 100),
    torch.nn.ReLU(),
    torch.nn.Dropout(0.2),
    torch.nn.Linear(100, Ytr.shape[1]),
)
loss_fn = torch.nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)


def predict(x):
    net.eval()
    with torch.no_grad():
        return (torch.sigmoid(net(x)) >= 0.5).int().numpy()


n = len(Xtr)
for epoch in range(20):
    net.train()
    losses = []
    for chunk in torch.randperm(n).split(64):
        opt.zero_grad()
        loss = loss_fn(net(Xtr[chunk]), Ytr[chunk])
        loss.backward()
        opt.step()
        losses.append(loss.item())
    if (epoch + 1) % 4 == 0:
        print(f"epoch {epoch + 1:2d}  loss {np.mean(losses):.4f}  "
              f"micro-F1 {f1_score(Yte, predict(Xte), average='micro'):.4f}")

P = predict(Xte)
print("labels per article: true %.2f, predicted %.2f" % (Yte.sum(1).mean(), P.sum(1).mean()))
print("exact match: %.4f" % (P == Yte).all(1).mean())
print("test micro-F1: %.4f" % f1_score(Yte, P, average="micro"))
