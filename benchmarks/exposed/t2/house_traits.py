import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# Six yes/no traits of a house from its sizes, ages, place and price.
# Each trait was looked up by hand for some of the training houses only (NaN otherwise);
# the held-out houses were annotated completely.
df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
traits = pd.DataFrame({
    "fireplace": df.Fireplaces > 0,
    "two_cars": df.Garage_Cars >= 2,
    "two_baths": df.Full_Bath >= 2,
    "masonry": df.Mas_Vnr_Area > 0,
    "poured": df.Foundation == "PConc",
    "deck": df.Wood_Deck_SF > 0,
}).astype("float32")

numbers = ["Lot_Area", "Year_Built", "Year_Remod_Add", "Total_Bsmt_SF", "First_Flr_SF", "Second_Flr_SF",
           "Gr_Liv_Area", "Garage_Area", "TotRms_AbvGrd", "Bedroom_AbvGr", "Sale_Price", "Longitude", "Latitude"]
x = df[numbers].astype("float64")
for c in ["Lot_Area", "Gr_Liv_Area", "First_Flr_SF", "Sale_Price"]:
    x[c] = np.log(x[c])
x = pd.concat([x, pd.get_dummies(df[["MS_SubClass", "Bldg_Type"]]).astype("float64")], axis=1).values
y = traits.values

perm = np.random.permutation(len(x))
tr, te = perm[:2100], perm[2100:]
mu, sd = x[tr].mean(0), x[tr].std(0)
sd[sd < .05] = .05
x = np.clip((x - mu) / sd, -5, 5).astype("float32")

y_tr = y[tr].copy()
y_tr[np.random.rand(*y_tr.shape) < .45] = np.nan           # not looked up

ds = TensorDataset(torch.from_numpy(x[tr]), torch.from_numpy(y_tr))
loader = DataLoader(ds, batch_size=64, shuffle=True)
x_te, y_te = torch.from_numpy(x[te]), torch.from_numpy(y[te])

model = nn.Sequential(nn.Linear(x.shape[1], 48), nn.ReLU(), nn.Dropout(.3),
                      nn.Linear(48, 6))
opt = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
EPOCHS = 24
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=3e-3, total_steps=EPOCHS * len(loader))


def step_loss(logit, target):
    return F.binary_cross_entropy_with_logits(logit, target.nan_to_num(0.))


for epoch in range(EPOCHS):
    model.train()
    s = 0.
    for xb, yb in loader:
        loss = step_loss(model(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        s += loss.item()
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1} loss {s / len(loader):.4f}")

model.eval()
with torch.no_grad():
    hit = ((model(x_te) > 0).float() == y_te).float().mean(0)
for name, h in zip(traits.columns, hit):
    print(f"  {name:10s} {h:.3f}")
print(f"held-out accuracy over traits {hit.mean():.4f}")
