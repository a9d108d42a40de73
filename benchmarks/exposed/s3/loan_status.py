"""Good or bad loan, with embeddings for the categories and early stopping on a validation part."""
import copy
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

LR = 2e-3
WIDTH = 48
PATIENCE = 12
MAX_EPOCHS = 100


class LoanNet(nn.Module):
    def __init__(self, sizes, n_num):
        super().__init__()
        self.emb = nn.ModuleList([nn.Embedding(k, min(4, k)) for k in sizes])
        d = sum(e.embedding_dim for e in self.emb) + n_num
        self.body = nn.Sequential(nn.Linear(d, WIDTH), nn.ReLU(), nn.Dropout(0.3),
                                  nn.Linear(WIDTH, WIDTH // 2), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(WIDTH // 2, 1)

    def forward(self, cat, num):
        parts = [e(cat[:, i]) for i, e in enumerate(self.emb)]
        return self.head(self.body(torch.cat(parts + [num], 1))).view(-1)


def prepare(seed):
    df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
    df = df.dropna(subset=["Status"])
    y = (df.Status == "bad").astype(np.float32).values
    ccols = ["Home", "Marital", "Records", "Job"]
    cat, sizes = [], []
    for c in ccols:
        code, lev = pd.factorize(df[c].fillna("missing"), sort=True)
        cat.append(code); sizes.append(len(lev))
    cat = np.stack(cat, 1).astype(np.int64)
    num = df.drop(columns=ccols + ["Status"]).astype(float)
    num["ratio"] = num.Amount / num.Price
    miss = num[["Income", "Assets", "Debt"]].isna().astype(float).values
    for c in ["Income", "Assets", "Debt", "Seniority", "Price"]:
        num[c] = np.log1p(num[c])
    tr, te = train_test_split(np.arange(len(y)), test_size=0.25, random_state=seed, stratify=y)
    tr, va = train_test_split(tr, test_size=0.2, random_state=seed, stratify=y[tr])
    num = num.fillna(num.iloc[tr].median())
    num = (num - num.iloc[tr].mean()) / num.iloc[tr].std()
    num = np.hstack([num.values, miss]).astype(np.float32)
    pack = lambda i: tuple(torch.from_numpy(a[i]) for a in (cat, num, y))
    return pack(tr), pack(va), pack(te), sizes


def evaluate(model, part):
    model.eval()
    with torch.no_grad():
        z = model(part[0], part[1])
    return F.binary_cross_entropy_with_logits(z, part[2]).item(), z


def run():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    train, val, test, sizes = prepare(seed)
    model = LoanNet(sizes, train[1].shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-2)
    best, best_state, wait = 9e9, None, 0
    for epoch in range(MAX_EPOCHS):
        model.train()
        for idx in torch.randperm(len(train[2])).split(64):
            loss = F.binary_cross_entropy_with_logits(model(train[0][idx], train[1][idx]), train[2][idx])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        v, _ = evaluate(model, val)
        if v < best:
            best, best_state, wait = v, copy.deepcopy(model.state_dict()), 0
        else:
            wait += 1
            if wait >= PATIENCE:
                print("stopped after epoch", epoch + 1)
                break
        if epoch % 5 == 0:
            print(f"epoch {epoch:3d} val loss {v:.4f} best {best:.4f}")
    model.load_state_dict(best_state)
    tl, z = evaluate(model, test)
    t = test[2]
    print(f"test loss {tl:.4f}  AUC {roc_auc_score(t.numpy(), z.numpy()):.4f}  always-good {1 - t.mean().item():.4f}"
          f"  accuracy {((z > 0).float() == t).float().mean().item():.4f}")


run()
