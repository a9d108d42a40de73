import os, argparse
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import roc_auc_score, balanced_accuracy_score
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser(description="credit scoring with an MLP")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--hidden", type=int, default=32)
parser.add_argument("--dropout", type=float, default=0.3)
args = parser.parse_args()

seed = int(os.environ.get("SEED", 0))
np.random.seed(seed)
torch.manual_seed(seed)


def load(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
    y = (df.pop("Status") == "bad").astype("float32").to_numpy()
    df["Ratio"] = df["Amount"] / df["Price"]
    num = df.select_dtypes("number").columns
    for c in ["Income", "Assets", "Debt", "Amount", "Price"]:
        df[c] = np.log1p(df[c])
    df["NoIncome"] = df["Income"].isna().astype("float32")
    train, rest = train_test_split(np.arange(len(df)), test_size=0.4, stratify=y, random_state=seed)
    val, test = train_test_split(rest, test_size=0.5, stratify=y[rest], random_state=seed)
    med = df.loc[train, num].median()
    df[num] = df[num].fillna(med)
    m, s = df.loc[train, num].mean(), df.loc[train, num].std()
    df[num] = (df[num] - m) / s
    X = pd.get_dummies(df, dummy_na=False).to_numpy("float32")
    return [(torch.tensor(X[i]), torch.tensor(y[i])) for i in (train, val, test)]


def evaluate(model, data):
    model.eval()
    with torch.no_grad():
        p = torch.sigmoid(model(data[0]).squeeze(-1)).numpy()
    return roc_auc_score(data[1], p), balanced_accuracy_score(data[1], p > 0.5)


train, val, test = load(seed)
pos_weight = (train[1] == 0).sum() / (train[1] == 1).sum()
print(f"{len(train[1])} rows, bad share {train[1].mean():.3f}")

model = nn.Sequential(
    nn.Linear(train[0].shape[1], args.hidden), nn.BatchNorm1d(args.hidden), nn.ReLU(), nn.Dropout(args.dropout),
    nn.Linear(args.hidden, args.hidden), nn.BatchNorm1d(args.hidden), nn.ReLU(), nn.Dropout(args.dropout),
    nn.Linear(args.hidden, 1))
loss_fn = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-2)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*train), batch_size=args.batch_size,
                                     shuffle=True, drop_last=True)

for epoch in range(1, args.epochs + 1):
    model.train()
    losses = []
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb).squeeze(-1), yb)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if epoch % 4 == 0:
        auc, bacc = evaluate(model, val)
        print(f"[{epoch:02d}] loss {np.mean(losses):.4f}  val auc {auc:.4f}  val balanced acc {bacc:.4f}")

auc, bacc = evaluate(model, test)
print(f"test balanced acc {bacc:.4f}")
print(f"test auc {auc:.4f}")
