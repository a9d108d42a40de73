import argparse
import os
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

p = argparse.ArgumentParser()
p.add_argument("--epochs", type=int, default=12)
p.add_argument("--lr", type=float, default=3e-3)
p.add_argument("--width", type=int, default=64)
p.add_argument("--batch", type=int, default=256)
args = p.parse_args()

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
np.random.seed(SEED)

# card payments, about 1.5% of them fraudulent
X, y = make_classification(n_samples=30000, n_features=24, n_informative=8, n_redundant=4, n_clusters_per_class=3,
                           weights=[0.985], class_sep=1.6, flip_y=0.002, random_state=SEED)
Xtr, Xte, ytr, yte = train_test_split(X, y, test_size=0.33, stratify=y, random_state=SEED)
sc = StandardScaler().fit(Xtr)
Xtr, Xte = (torch.tensor(sc.transform(a), dtype=torch.float32) for a in (Xtr, Xte))
ytr_t = torch.tensor(ytr, dtype=torch.float32)

model = nn.Sequential(nn.Linear(24, args.width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(args.width, args.width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(args.width, 1))
rate = ytr.mean()
with torch.no_grad():        # start the output at the base rate
    model[-1].bias.fill_(float(np.log(rate / (1 - rate))))

loader = DataLoader(TensorDataset(Xtr, ytr_t), batch_size=args.batch, shuffle=True)
opt = torch.optim.Adam(model.parameters(), lr=args.lr, weight_decay=1e-5)
steps = args.epochs * len(loader)
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: max(0.02, 1 - s / steps))
bce = nn.BCEWithLogitsLoss()

for ep in range(1, args.epochs + 1):
    model.train()
    run = 0.0
    for xb, yb in loader:
        opt.zero_grad(set_to_none=True)
        loss = bce(model(xb).squeeze(-1), yb)
        loss.backward()
        opt.step()
        sched.step()
        run += loss.item()
    model.eval()
    with torch.no_grad():
        pr = torch.sigmoid(model(Xte).squeeze(-1)).numpy()
    print(f"[{ep:02d}] loss={run / len(loader):.4f} test logloss={log_loss(yte, pr):.4f} AP={average_precision_score(yte, pr):.4f} flagged={(pr > .5).sum()} of {int(yte.sum())}")
print(f"fraud rate {rate:.4f}; final average precision {average_precision_score(yte, pr):.4f}")
