# Credit scorecard: every column cut into bins, one weight a bin, nothing else. Batches of 32, Adagrad.
import os, random
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

BINS = 10
RATE = 0.15
PASSES = 12
SHRINK = 1.0

d = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
y = (d.pop("Status") == "bad").astype("float32").values
fit, out = train_test_split(np.arange(len(d)), test_size=.3, stratify=y, random_state=seed)
d["Ratio"] = d.Amount / d.Price
d["Spare"] = d.Income - d.Expenses

cols, at = [], 0
for name in d.columns:
    v = d[name]
    if pd.api.types.is_numeric_dtype(v):
        edges = np.unique(v.iloc[fit].dropna().quantile(np.linspace(0, 1, BINS + 1)[1:-1]).values)
        code = np.digitize(v.fillna(edges[0]), edges) + 1
        code[v.isna().values] = 0
        size = len(edges) + 2
    else:
        levels = {k: i + 1 for i, k in enumerate(sorted(v.iloc[fit].dropna().unique()))}
        code = v.map(levels).fillna(0).astype(int).values
        size = len(levels) + 1
    cols.append(code + at)
    at += size
codes = torch.tensor(np.stack(cols, 1))
target = torch.tensor(y)
print(len(fit), "rows,", at, "bins, share of bad", round(float(y[fit].mean()), 3))

points = torch.nn.EmbeddingBag(at, 1, mode="sum")
torch.nn.init.zeros_(points.weight)
base = torch.nn.Parameter(torch.tensor(float(np.log(y[fit].mean() / (1 - y[fit].mean())))))
opt = torch.optim.Adagrad([points.weight, base], lr=RATE)

for p in range(PASSES):
    perm = torch.tensor(np.random.permutation(fit))
    losses = []
    for b in perm.split(32):
        logit = points(codes[b]).squeeze(1) + base
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target[b])
        # a gaussian prior on the points, spread over the rows
        total = loss + SHRINK * points.weight.square().sum() / (2 * len(fit))
        opt.zero_grad()
        total.backward()
        opt.step()
        losses.append(loss.item())
    print(f"pass {p + 1:2d}: log loss {np.mean(losses):.4f}")

with torch.no_grad():
    s = (points(codes[out]).squeeze(1) + base).numpy()
print(f"held out: accuracy {((s > 0) == y[out]).mean():.4f}, AUC {roc_auc_score(y[out], s):.4f}")
