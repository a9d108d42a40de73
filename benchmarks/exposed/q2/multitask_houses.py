import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Subset, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# one network for two questions about a house: zone of the town (class) and sale price in thousands
raw = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"))
big = raw["Neighborhood"].value_counts().index[:8]
raw = raw[raw["Neighborhood"].isin(big)].reset_index(drop=True)
num_cols = ["Lot_Area", "Year_Built", "Year_Remod_Add", "Mas_Vnr_Area", "Total_Bsmt_SF", "First_Flr_SF", "Second_Flr_SF",
            "Gr_Liv_Area", "Full_Bath", "Half_Bath", "Bedroom_AbvGr", "TotRms_AbvGrd", "Fireplaces", "Garage_Cars",
            "Garage_Area", "Wood_Deck_SF", "Open_Porch_SF", "Lot_Frontage"]
cat_cols = ["MS_SubClass", "Exterior_1st", "Foundation", "Garage_Type", "Bsmt_Exposure", "Roof_Style"]
order = np.random.permutation(len(raw))
n_test = len(raw) // 4
test_idx, train_idx = order[:n_test], order[n_test:]
num = raw[num_cols].astype(np.float32)
num = (num - num.iloc[train_idx].mean()) / num.iloc[train_idx].std()
onehot = pd.get_dummies(raw[cat_cols], dtype=np.float32)
X = torch.tensor(np.hstack([num.to_numpy(), onehot.to_numpy()]))
zone = torch.tensor(raw["Neighborhood"].map({n: i for i, n in enumerate(big)}).to_numpy(dtype=np.int64))
price = torch.tensor(raw["Sale_Price"].to_numpy(np.float32) / 1000.0)

data = TensorDataset(X, zone, price)
train_set, test_set = Subset(data, train_idx), Subset(data, test_idx)
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
test_loader = DataLoader(test_set, batch_size=256)


class TwoHeads(nn.Module):
    def __init__(self, d_in, n_zones):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(d_in, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ReLU())
        self.zone = nn.Linear(32, n_zones)
        self.price = nn.Linear(32, 1)

    def forward(self, x):
        h = self.trunk(x)
        return self.zone(h), self.price(h).squeeze(1)


model = TwoHeads(X.shape[1], len(big))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(30):
    model.train()
    for x, z, p in train_loader:
        zone_logits, p_hat = model(x)
        loss = F.cross_entropy(zone_logits, z) + F.mse_loss(p_hat, p)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if (epoch + 1) % 5 == 0:
        model.eval()
        hit, ae = 0, 0.0
        with torch.no_grad():
            for x, z, p in test_loader:
                zone_logits, p_hat = model(x)
                hit += (zone_logits.argmax(1) == z).sum().item()
                ae += (p_hat - p).abs().sum().item()
        print(f"epoch {epoch + 1}: last loss {loss.item():.2f}  zone acc {hit / n_test:.3f}  price MAE {ae / n_test:.1f}k")
