# breast cancer: benign / malignant
import os, random
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

X, y = load_breast_cancer(return_X_y=True)
X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.3, random_state=SEED, stratify=y)
m, s = X_tr.mean(0), X_tr.std(0)
X_tr = torch.tensor((X_tr - m) / s, dtype=torch.float32)
X_te = torch.tensor((X_te - m) / s, dtype=torch.float32)
y_tr = torch.tensor(y_tr, dtype=torch.float32).view(-1, 1)
y_te = torch.tensor(y_te, dtype=torch.float32).view(-1, 1)

W1 = (torch.randn(30, 20) * np.sqrt(2 / 30)).requires_grad_()
b1 = torch.zeros(20, requires_grad=True)
W2 = (torch.randn(20, 1) * np.sqrt(1 / 20)).requires_grad_()
b2 = torch.zeros(1, requires_grad=True)
params = [W1, b1, W2, b2]


def forward(x):
    h = torch.relu(x @ W1 + b1)
    return torch.sigmoid(h @ W2 + b2)


def cross_entropy(p, t):
    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()


optimizer = torch.optim.Adam(params, lr=0.003, weight_decay=1e-4)
batch = 32
for epoch in range(150):
    perm = torch.randperm(len(X_tr))
    ep_loss = 0
    for i in range(0, len(X_tr), batch):
        ix = perm[i:i + batch]
        p = forward(X_tr[ix])
        loss = cross_entropy(p, y_tr[ix])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ep_loss += loss.item() * len(ix)
    if epoch % 15 == 0 or epoch == 149:
        with torch.no_grad():
            train_acc = ((forward(X_tr) > 0.5) == (y_tr > 0.5)).float().mean().item()
        print("epoch", epoch, "cost", ep_loss / len(X_tr), "train acc", train_acc)

with torch.no_grad():
    acc = ((forward(X_te) > 0.5) == (y_te > 0.5)).float().mean().item()
print("test accuracy: %.4f" % acc)
