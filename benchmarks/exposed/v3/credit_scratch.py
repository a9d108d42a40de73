"""Credit scoring: about 28 % of the applicants are bad payers.
Plain tensors and RMSprop written out by hand; micro-batches of 16, step every fourth.
The loss weighs the two classes equally, the score is balanced accuracy."""
import os, random, math
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
g = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)

# ---------------------------------------------------------------- data
df = pd.read_csv(f"{os.environ['DATA']}/credit_data.csv").sample(frac=1, random_state=SEED)
y = (df.pop("Status") == "bad").astype(int).to_numpy()
cut = int(0.75 * len(df))
money = ["Income", "Assets", "Debt", "Amount", "Price", "Expenses"]
df[money] = np.log1p(df[money].astype(float))
nums = df.select_dtypes("number").columns
med = df[nums].iloc[:cut].median()
num = df[nums].fillna(med)
num = (num - num.iloc[:cut].mean()) / num.iloc[:cut].std()
cat = pd.get_dummies(df.drop(columns=nums).fillna("missing"))
X = torch.tensor(np.hstack([num.to_numpy(float), cat.to_numpy(float)]), dtype=torch.float32).clamp(-4, 4)
Y = torch.tensor(y, dtype=torch.float32)
Xtr, Ytr, Xte, yte = X[:cut], Y[:cut], X[cut:], y[cut:]
pos_w = ((1 - Ytr).sum() / Ytr.sum()).item()

# ---------------------------------------------------------------- parameters
H = 16
W1 = (torch.randn(X.shape[1], H, generator=g) / math.sqrt(X.shape[1])).requires_grad_()
b1 = torch.zeros(H, requires_grad=True)
W2 = (torch.randn(H, 1, generator=g) / math.sqrt(H)).requires_grad_()
b2 = torch.zeros(1, requires_grad=True)
params = [W1, b1, W2, b2]
sq = [torch.zeros_like(p) for p in params]


def logit(x):
    return (torch.tanh(x @ W1 + b1) @ W2 + b2).squeeze(1)


def weighted_bce(z, t):
    w = torch.where(t > 0.5, pos_w, 1.0)
    return (w * (torch.clamp(z, min=0) - z * t + torch.log1p(torch.exp(-z.abs())))).mean()


# ---------------------------------------------------------------- training
LR, EPOCHS, ACC, L2 = 2e-3, 15, 4, 2e-3
for ep in range(EPOCHS):
    lr = LR * (1 - ep / EPOCHS)
    total = 0.0
    for big in torch.randperm(cut, generator=g).split(16 * ACC):
        for idx in big.split(16):
            loss = weighted_bce(logit(Xtr[idx]), Ytr[idx])
            (loss * len(idx) / len(big)).backward()
            total += loss.item() * len(idx)
        with torch.no_grad():
            for p, s in zip(params, sq):
                d = p.grad + L2 * p
                s.mul_(0.95).addcmul_(d, d, value=0.05)
                p -= lr * d / (s.sqrt() + 1e-6)
                p.grad = None
    with torch.no_grad():
        zt = logit(Xte).numpy()
    if ep % 3 == 2:
        print(f"{ep + 1:2d}  loss {total / cut:.4f}  balanced acc {balanced_accuracy_score(yte, zt > 0):.4f}"
              f"  auc {roc_auc_score(yte, zt):.4f}")
