# Credit scoring (Lasarte data): probability that a loan goes bad
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

NUM = ["Seniority", "Time", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price"]
CAT = ["Home", "Marital", "Records", "Job"]


class TabNet(nn.Module):
    """numbers + one embedding per categorical column"""

    def __init__(self, n_num, sizes, width=128, p=0.4):
        super().__init__()
        self.emb = nn.ModuleList([nn.Embedding(n, min(4, n)) for n in sizes])
        d = n_num + sum(e.embedding_dim for e in self.emb)
        self.l1, self.l2, self.out = nn.Linear(d, width), nn.Linear(width, width), nn.Linear(width, 1)
        self.drop = nn.Dropout(p)

    def forward(self, num, cat):
        h = torch.cat([num] + [e(cat[:, i]) for i, e in enumerate(self.emb)], 1)
        h = self.drop(F.relu(self.l1(h)))
        h = self.drop(F.relu(self.l2(h)))
        return self.out(h).squeeze(-1)


def load():
    df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
    y = (df.Status == "bad").to_numpy().astype(np.float32)
    i_tr, i_te = train_test_split(np.arange(len(df)), test_size=0.25, stratify=y, random_state=SEED)
    i_tr, i_va = train_test_split(i_tr, test_size=0.2, stratify=y[i_tr], random_state=SEED)
    num = df[NUM].copy()
    missing = num[["Income", "Assets"]].isna().astype(float).to_numpy()
    num = num.fillna(num.iloc[i_tr].median())
    num["ratio"] = num.Amount / num.Price
    for c in ["Income", "Assets", "Debt", "Amount", "Price"]:
        num[c] = np.log1p(num[c])
    z = num.to_numpy()
    z = np.hstack([(z - z[i_tr].mean(0)) / z[i_tr].std(0), missing])
    cats = [df[c].fillna("unknown").astype("category") for c in CAT]
    codes = np.stack([c.cat.codes for c in cats], 1).astype(np.int64)
    part = lambda i: (torch.tensor(z[i], dtype=torch.float32), torch.tensor(codes[i]), torch.tensor(y[i]))
    return part(i_tr), part(i_va), part(i_te), [len(c.cat.categories) for c in cats], z.shape[1]


train, valid, test, sizes, n_num = load()
model = TabNet(n_num, sizes)
opt = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)


def score(part):
    model.eval()
    with torch.no_grad():
        logit = model(part[0], part[1])
    return F.binary_cross_entropy_with_logits(logit, part[2]).item(), roc_auc_score(part[2], logit)


best_loss, best_weights, wait, PATIENCE = float("inf"), None, 0, 10
for epoch in range(80):
    model.train()
    for b in torch.randperm(len(train[2])).split(64):
        loss = F.binary_cross_entropy_with_logits(model(train[0][b], train[1][b]), train[2][b])
        opt.zero_grad()
        loss.backward()
        opt.step()
    (tl, ta), (vl, va) = score(train), score(valid)
    print(f"epoch {epoch}: train {tl:.4f}/{ta:.3f}  valid {vl:.4f}/{va:.3f}")
    if vl < best_loss:
        best_loss, wait = vl, 0
        best_weights = {k: v.clone() for k, v in model.state_dict().items()}
    else:
        wait += 1
        if wait >= PATIENCE:
            print("early stop")
            break
model.load_state_dict(best_weights)
l, a = score(test)
print(f"test: log loss {l:.4f}, AUC {a:.4f}")
