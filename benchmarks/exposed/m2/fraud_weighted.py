import os
import random
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import average_precision_score, roc_auc_score, balanced_accuracy_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# card transactions, about 2 % fraudulent
X, y = make_classification(n_samples=10000, n_features=20, n_informative=8, n_redundant=4, n_clusters_per_class=3,
                           weights=[0.98], class_sep=1.2, flip_y=0.004, random_state=SEED)
X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.3, stratify=y, random_state=SEED)
X_tr, X_va, y_tr, y_va = train_test_split(X_tr, y_tr, test_size=0.2, stratify=y_tr, random_state=SEED)
sc = StandardScaler().fit(X_tr)
t = lambda a: torch.tensor(a, dtype=torch.float32)
X_tr, X_va, X_te = (t(sc.transform(a)) for a in (X_tr, X_va, X_te))

# square root of the ratio: a milder weight than the full one, keeps the scores usable
ratio = (y_tr == 0).sum() / (y_tr == 1).sum()
pos_weight = torch.tensor(float(np.sqrt(ratio)))
print("positives", int(y_tr.sum()), "of", len(y_tr), "pos_weight %.2f" % pos_weight.item())

model = nn.Sequential(nn.Linear(20, 96), nn.ReLU(), nn.Dropout(0.3),
                      nn.Linear(96, 48), nn.ReLU(), nn.Dropout(0.3),
                      nn.Linear(48, 1))
crit = nn.BCEWithLogitsLoss(pos_weight=pos_weight)
opt = torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=1e-3)
dl = DataLoader(TensorDataset(X_tr, t(y_tr)), batch_size=256, shuffle=True)


def scores(X):
    model.eval()
    with torch.no_grad():
        return model(X).squeeze(1).sigmoid().numpy()


best, best_state, bad = -1, None, 0
for epoch in range(40):
    model.train()
    for xb, yb in dl:
        loss = crit(model(xb).squeeze(1), yb)
        opt.zero_grad(); loss.backward(); opt.step()
    ap = average_precision_score(y_va, scores(X_va))
    if ap > best:
        best, bad = ap, 0
        best_state = {k: v.clone() for k, v in model.state_dict().items()}
    else:
        bad += 1
    if epoch % 5 == 0:
        print(f"epoch {epoch:3d}  val AP {ap:.4f}")
    if bad >= 10:
        break
model.load_state_dict(best_state)
p_va, p = scores(X_va), scores(X_te)
cuts = np.quantile(p_va, np.linspace(0.8, 0.995, 60))
cut = cuts[np.argmax([balanced_accuracy_score(y_va, p_va > c) for c in cuts])]
print(f"balanced accuracy at validated cut {balanced_accuracy_score(y_te, p > cut):.3f}")
print(f"test AUC {roc_auc_score(y_te, p):.3f}  AP {average_precision_score(y_te, p):.4f}")
