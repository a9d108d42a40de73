import os, random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_wine(return_X_y=True)
scores = []

for fold, (train_idx, test_idx) in enumerate(StratifiedKFold(n_splits=4, shuffle=True, random_state=SEED).split(X, y)):
    X_train, X_test = X[train_idx], X[test_idx]
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    X_train = torch.tensor(X_train, dtype=torch.float32)
    X_test = torch.tensor(X_test, dtype=torch.float32)
    y_train = torch.tensor(y[train_idx])
    y_test = torch.tensor(y[test_idx])

    model = nn.Sequential(
        nn.Linear(13, 20),
        nn.Sigmoid(),
        nn.Linear(20, 10),
        nn.Sigmoid(),
        nn.Linear(10, 3),
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    for epoch in range(150):
        order = torch.randperm(len(X_train))
        for start in range(0, len(order), 16):
            batch = order[start:start + 16]
            optimizer.zero_grad()
            loss = criterion(model(X_train[batch]), y_train[batch])
            loss.backward()
            optimizer.step()
        if (epoch + 1) % 50 == 0:
            with torch.no_grad():
                full = criterion(model(X_train), y_train).item()
                acc = (model(X_train).argmax(1) == y_train).float().mean().item()
            print("fold %d epoch %d loss %.4f accuracy %.4f" % (fold, epoch + 1, full, acc))

    with torch.no_grad():
        scores.append((model(X_test).argmax(1) == y_test).float().mean().item())

print("test accuracy per fold:", np.round(scores, 3))
print("mean test accuracy: %.4f" % np.mean(scores))
