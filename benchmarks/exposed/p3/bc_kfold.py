# 5-fold cross-validation of a small net on the Wisconsin breast cancer data
import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold
from sklearn.metrics import roc_auc_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_breast_cancer(return_X_y=True)
kf = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
scores, aucs = [], []

LR, EPOCHS, HIDDEN = 0.02, 40, 16

for fold, (tr, te) in enumerate(kf.split(X, y)):
    mean, std = X[tr].mean(axis=0), X[tr].std(axis=0)
    xtr = torch.tensor((X[tr] - mean) / std, dtype=torch.float32)
    xte = torch.tensor((X[te] - mean) / std, dtype=torch.float32)
    ytr = torch.tensor(y[tr], dtype=torch.float32).unsqueeze(1)
    yte = torch.tensor(y[te], dtype=torch.float32).unsqueeze(1)

    net = nn.Sequential(nn.Linear(30, HIDDEN), nn.Tanh(), nn.Dropout(0.2), nn.Linear(HIDDEN, 1))
    opt = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9, weight_decay=1e-2)
    bce = nn.BCEWithLogitsLoss()

    for epoch in range(EPOCHS):
        net.train()
        losses = []
        for batch in torch.randperm(len(xtr)).split(32):
            opt.zero_grad()
            loss = bce(net(xtr[batch]), ytr[batch])
            loss.backward()
            opt.step()
            losses.append(loss.item())
        if epoch % 10 == 9:
            net.eval()
            with torch.no_grad():
                v = bce(net(xte), yte).item()
            print(f"fold {fold} epoch {epoch+1}: train {np.mean(losses):.4f} held-out {v:.4f}")

    net.eval()
    with torch.no_grad():
        p = torch.sigmoid(net(xte))
    scores.append(((p > 0.5).float() == yte).float().mean().item())
    aucs.append(roc_auc_score(yte.numpy(), p.numpy()))

print("fold accuracies", [round(s, 3) for s in scores])
print(f"mean accuracy {np.mean(scores):.4f} +- {np.std(scores):.4f}, mean AUC {np.mean(aucs):.4f}")
