# Credit scoring: who will default? About 28 % are bad.
import os, argparse
import numpy as np, pandas as pd, torch
from torch import nn
from sklearn.metrics import roc_auc_score, balanced_accuracy_score

ap = argparse.ArgumentParser()
ap.add_argument("--lr", type=float, default=2e-3)
ap.add_argument("--epochs", type=int, default=40)
ap.add_argument("--hidden", type=int, default=48)
ap.add_argument("--dropout", type=float, default=0.3)
args = ap.parse_args()

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
y = (df.pop("Status") == "bad").to_numpy().astype(np.float32)
for c in ["Income", "Assets", "Debt", "Amount", "Price"]:
    df[c + "_na"] = df[c].isna().astype(float)
    df[c] = np.log1p(df[c].fillna(df[c].median()))
df["ratio"] = df["Amount"] - df["Price"]
X = pd.get_dummies(df, dtype=float).to_numpy().astype(np.float32)

idx = np.random.permutation(len(X))
i_te, i_va, i_tr = idx[:1000], idx[1000:1500], idx[1500:]
mean, std = X[i_tr].mean(0), X[i_tr].std(0) + 1e-3
X = torch.from_numpy(np.clip((X - mean) / std, -6, 6))
Y = torch.from_numpy(y)

net = nn.Sequential(
    nn.Linear(X.shape[1], args.hidden), nn.BatchNorm1d(args.hidden), nn.ReLU(), nn.Dropout(args.dropout),
    nn.Linear(args.hidden, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(args.dropout),
    nn.Linear(24, 1))
pos_weight = torch.tensor((1 - y[i_tr].mean()) / y[i_tr].mean())
criterion = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
optim = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.ReduceLROnPlateau(optim, mode="max", factor=0.5, patience=4)
ds = torch.utils.data.TensorDataset(X[i_tr], Y[i_tr])
dl = torch.utils.data.DataLoader(ds, batch_size=128, shuffle=True, drop_last=True)


@torch.no_grad()
def logits(i):
    net.eval()
    return net(X[i]).squeeze(1).numpy()


best_auc, keep = 0, None
for ep in range(1, args.epochs + 1):
    net.train()
    losses = []
    for xb, yb in dl:
        loss = criterion(net(xb).squeeze(1), yb)
        optim.zero_grad()
        loss.backward()
        optim.step()
        losses.append(loss.item())
    auc = roc_auc_score(y[i_va], logits(i_va))
    sched.step(auc)
    if auc > best_auc:
        best_auc, keep = auc, {k: v.clone() for k, v in net.state_dict().items()}
    if ep % 5 == 0:
        print(ep, "loss", round(float(np.mean(losses)), 4), "val AUC", round(auc, 4))

net.load_state_dict(keep)
p = logits(i_te)
print("balanced accuracy", round(float(balanced_accuracy_score(y[i_te], p > 0)), 4))
print("test AUC", round(float(roc_auc_score(y[i_te], p)), 4))
