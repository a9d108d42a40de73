"""Credit risk: embeddings for the categories, standardised logs for the money columns."""
import os
import random

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from torch import nn


class CreditNet(nn.Module):
    def __init__(self, sizes, n_num, width):
        super().__init__()
        self.emb = nn.ModuleList([nn.Embedding(s, 3) for s in sizes])
        self.net = nn.Sequential(nn.Dropout(0.1), nn.Linear(3 * len(sizes) + n_num, width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 1))

    def forward(self, c, x):
        e = [m(c[:, i]) for i, m in enumerate(self.emb)]
        return self.net(torch.cat(e + [x], 1)).squeeze(1)


class CreditModel:
    def __init__(self, width=32, lr=2e-3, epochs=20, batch=64, decay=1e-2):
        self.width, self.lr, self.epochs, self.batch, self.decay = width, lr, epochs, batch, decay

    def fit(self, c, x, y, cv, xv, yv):
        self.net = CreditNet([int(c[:, i].max()) + 2 for i in range(c.shape[1])], x.shape[1], self.width)
        opt = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=self.decay)
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, self.epochs)
        lossf = nn.BCEWithLogitsLoss()
        for ep in range(self.epochs):
            self.net.train()
            total = 0.0
            for i in torch.randperm(len(y)).split(self.batch):
                opt.zero_grad()
                loss = lossf(self.net(c[i], x[i]), y[i])
                loss.backward()
                opt.step()
                total += loss.item() * len(i)
            sched.step()
            if ep % 4 == 3:
                print(f"epoch {ep + 1} train {total / len(y):.4f} val auc {roc_auc_score(yv, self.predict(cv, xv)):.4f}")
        return self

    @torch.no_grad()
    def predict(self, c, x):
        self.net.eval()
        return torch.sigmoid(self.net(c, x)).numpy()


if __name__ == "__main__":
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

    df = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
    y = (df.pop("Status") == "bad").to_numpy().astype(np.float32)
    cats = ["Home", "Marital", "Records", "Job"]
    C = np.stack([pd.factorize(df[k].fillna("missing"), sort=True)[0] for k in cats], 1)
    N = df.drop(columns=cats).astype(float)
    for k in ["Income", "Assets", "Debt", "Amount", "Price", "Expenses"]:
        N[k + "_missing"] = N[k].isna().astype(float) if k in ("Income", "Assets", "Debt") else 0.0
        N[k] = np.log1p(N[k])
    N["share"] = N["Amount"] - N["Price"]
    N = N.loc[:, N.nunique() > 1]
    tr, te = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
    tr, va = train_test_split(tr, test_size=0.15, stratify=y[tr], random_state=seed)
    N = N.fillna(N.iloc[tr].median())
    X = ((N - N.iloc[tr].mean()) / N.iloc[tr].std()).clip(-5, 5).to_numpy(np.float32)
    C, X, Y = torch.tensor(C), torch.tensor(X), torch.tensor(y)

    m = CreditModel().fit(C[tr], X[tr], Y[tr], C[va], X[va], y[va])
    print(f"bad share {y.mean():.3f}")
    print(f"train auc {roc_auc_score(y[tr], m.predict(C[tr], X[tr])):.4f}  test auc {roc_auc_score(y[te], m.predict(C[te], X[te])):.4f}")
