# Ordinal regression (cumulative logits with shared slope, CORAL) of the overall quality grade in Ames.
import os, random
import numpy as np, pandas as pd
import torch, torch.nn as nn, torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
num = ["area", "Lot.Area", "Year.Built", "Year.Remod.Add", "Total.Bsmt.SF", "X1st.Flr.SF", "X2nd.Flr.SF", "Full.Bath",
       "Half.Bath", "Bedroom.AbvGr", "TotRms.AbvGrd", "Fireplaces", "Garage.Cars", "Garage.Area", "Mas.Vnr.Area", "Wood.Deck.SF"]
grade = df["Overall.Qual"].clip(3, 9).values - 3            # 7 ordered levels, the rare ends merged
quals = pd.get_dummies(df[["Exter.Qual", "Kitchen.Qual", "Bsmt.Qual", "Foundation"]].fillna("none")).astype("float32").values
raw = df[num].fillna(0).astype("float32")
raw[["area", "Lot.Area"]] = np.log(raw[["area", "Lot.Area"]])

idx_tr, idx_te = train_test_split(np.arange(len(df)), test_size=0.25, random_state=SEED, stratify=grade)
sc = StandardScaler().fit(raw.values[idx_tr])
X = np.hstack([np.clip(sc.transform(raw.values), -4, 4), quals]).astype("float32")
X, y = torch.from_numpy(X), torch.from_numpy(grade)
K = 7


class Coral(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d, 96), nn.ReLU(), nn.Dropout(0.3), nn.Linear(96, 1, bias=False))
        self.cut = nn.Parameter(torch.linspace(3, -3, K - 1))

    def forward(self, x):
        return self.body(x) + self.cut                     # logits of P(y > k)

    def predict(self, x):
        return (self.forward(x) > 0).sum(1)


def levels(y):
    return (y[:, None] > torch.arange(K - 1)).float()


model = Coral(X.shape[1])
loader = DataLoader(TensorDataset(X[idx_tr], y[idx_tr]), batch_size=64, shuffle=True)
EPOCHS = 40
opt = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for ep in range(1, EPOCHS + 1):
    model.train()
    tot = 0.0
    for xb, yb in loader:
        loss = F.binary_cross_entropy_with_logits(model(xb), levels(yb))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        tot += loss.item() * len(xb)
    sched.step()
    if ep % 5 == 0:
        print("epoch", ep, "loss", round(tot / len(idx_tr), 4))

model.eval()
with torch.no_grad():
    p = model.predict(X[idx_te])
yt = y[idx_te]
print("exact", (p == yt).float().mean().item(), " within one", ((p - yt).abs() <= 1).float().mean().item())
print("test mean absolute grade error %.4f" % (p - yt).abs().float().mean().item())
