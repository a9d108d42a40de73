import os
import random

import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

NUM = ["area", "Lot.Area", "Year.Built", "Year.Remod.Add", "Total.Bsmt.SF", "X1st.Flr.SF", "Full.Bath",
       "Bedroom.AbvGr", "TotRms.AbvGrd", "Fireplaces", "Garage.Cars", "Garage.Area", "Overall.Qual", "Overall.Cond"]
CAT = ["Neighborhood", "House.Style", "Bldg.Type", "Foundation", "MS.Zoning"]
df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
df = df[df.area < 4000]
df[NUM] = df[NUM].fillna(df[NUM].median())
kitchen = df["Kitchen.Qual"].map({"Po": 0, "Fa": 0, "TA": 0, "Gd": 1, "Ex": 2}).to_numpy()

tr, te = train_test_split(np.arange(len(df)), test_size=0.25, random_state=SEED, stratify=kitchen)
sc = StandardScaler().fit(df[NUM].iloc[tr])
oh = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(df[CAT].iloc[tr])
X = np.hstack([sc.transform(df[NUM]), oh.transform(df[CAT])]).astype("float32")
price = df["price"].to_numpy("float32")


class Houses(Dataset):
    def __init__(self, rows):
        self.X, self.price, self.kit = X[rows], price[rows], kitchen[rows]

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return {"x": self.X[i], "price": self.price[i], "kitchen": self.kit[i]}


class TwoHeads(nn.Module):
    def __init__(self, n_in):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(n_in, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.price_head = nn.Linear(32, 1)
        self.kitchen_head = nn.Linear(32, 3)

    def forward(self, x):
        h = self.trunk(x)
        return self.price_head(h).squeeze(1), self.kitchen_head(h)


train_loader = DataLoader(Houses(tr), batch_size=32, shuffle=True)
test_loader = DataLoader(Houses(te), batch_size=512)
model = TwoHeads(X.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
mse, ce = nn.MSELoss(), nn.CrossEntropyLoss()

for epoch in range(25):
    model.train()
    for batch in train_loader:
        p, k = model(batch["x"])
        loss = mse(p, batch["price"]) + ce(k, batch["kitchen"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        res = [(*model(b["x"]), b["price"], b["kitchen"]) for b in test_loader]
    p, k, pt, kt = (torch.cat(z) for z in zip(*res))
    r2 = 1 - ((p - pt) ** 2).sum() / ((pt - pt.mean()) ** 2).sum()
    acc = (k.argmax(1) == kt).float().mean()
    print(f"epoch {epoch:2d}  last batch loss {loss.item():.4g}  price R2 {r2:.4f}  kitchen acc {acc:.4f}")
