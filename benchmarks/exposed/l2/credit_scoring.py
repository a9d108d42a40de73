"""Credit scoring: good / bad payer."""
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset


def set_seed(s):
    random.seed(s); np.random.seed(s); torch.manual_seed(s)


def load_data(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
    y = (df.pop("Status") == "bad").astype(int).values
    cats = ["Home", "Marital", "Records", "Job"]
    num = df.drop(columns=cats)
    tr, te = train_test_split(np.arange(len(df)), test_size=0.25, stratify=y, random_state=seed)
    med = num.iloc[tr].median()
    num = num.fillna(med)
    for c in ["Income", "Assets", "Debt", "Amount", "Price", "Expenses"]:
        num[c] = np.log1p(num[c])
    num = (num - num.iloc[tr].mean()) / num.iloc[tr].std()
    X = np.hstack([num.values, pd.get_dummies(df[cats].fillna("unknown")).values]).astype(np.float32)
    return X[tr], X[te], y[tr], y[te]


class CreditNet(nn.Module):
    def __init__(self, d, h=32, p=0.2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d, h), nn.ReLU(), nn.Dropout(p),
                                 nn.Linear(h, h), nn.ReLU(), nn.Dropout(p),
                                 nn.Linear(h, 2))

    def forward(self, x):
        return self.net(x)


def evaluate(model, X, y):
    model.eval()
    with torch.no_grad():
        pred = model(torch.tensor(X)).argmax(1).numpy()
    return balanced_accuracy_score(y, pred), f1_score(y, pred, zero_division=0), confusion_matrix(y, pred)


def main():
    seed = int(os.environ.get("SEED", 0))
    set_seed(seed)
    Xtr, Xte, ytr, yte = load_data(seed)
    loader = DataLoader(TensorDataset(torch.tensor(Xtr), torch.tensor(ytr)), batch_size=64, shuffle=True)

    counts = np.bincount(ytr)
    weights = torch.tensor(counts / counts.sum(), dtype=torch.float32)
    criterion = nn.CrossEntropyLoss(weight=weights)
    model = CreditNet(Xtr.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    for epoch in range(20):
        model.train()
        total = 0.0
        for xb, yb in loader:
            optimizer.zero_grad()
            loss = criterion(model(xb), yb)
            loss.backward()
            optimizer.step()
            total += loss.item()
        if epoch % 4 == 3:
            bacc, f1, _ = evaluate(model, Xte, yte)
            print(f"epoch {epoch + 1}: loss {total / len(loader):.4f}  balanced acc {bacc:.3f}  F1(bad) {f1:.3f}")
    bacc, f1, cm = evaluate(model, Xte, yte)
    print("confusion", cm.tolist(), "balanced acc %.3f F1(bad) %.3f" % (bacc, f1))


if __name__ == "__main__":
    main()
