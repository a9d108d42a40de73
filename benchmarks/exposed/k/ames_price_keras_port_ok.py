# House price model, moved over from the old notebook
import os
import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"))
cols = ["Lot_Frontage", "Lot_Area", "Year_Built", "Year_Remod_Add", "Mas_Vnr_Area", "BsmtFin_SF_1", "Bsmt_Unf_SF",
        "Total_Bsmt_SF", "First_Flr_SF", "Second_Flr_SF", "Gr_Liv_Area", "Bsmt_Full_Bath", "Full_Bath", "Half_Bath",
        "Bedroom_AbvGr", "TotRms_AbvGrd", "Fireplaces", "Garage_Cars", "Garage_Area", "Wood_Deck_SF", "Open_Porch_SF",
        "Longitude", "Latitude"]
X = df[cols].values
y = df["Sale_Price"].values.astype(float)

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=SEED)
X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, test_size=0.15, random_state=SEED)

sc = StandardScaler()
X_train = torch.FloatTensor(sc.fit_transform(X_train))
X_val = torch.FloatTensor(sc.transform(X_val))
X_test = torch.FloatTensor(sc.transform(X_test))
y_mu, y_sd = y_train.mean(), y_train.std()
y_train = torch.FloatTensor((y_train - y_mu) / y_sd).view(-1, 1)
y_val = torch.FloatTensor((y_val - y_mu) / y_sd).view(-1, 1)


class Regressor(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n, 64), nn.ReLU(),
            nn.Linear(64, 64), nn.ReLU(),
            nn.Linear(64, 1),
        )

    def forward(self, x):
        return self.layers(x)


model = Regressor(len(cols))
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
mse = nn.MSELoss()
history = {"loss": [], "val_loss": []}

for epoch in range(60):
    model.train()
    perm = torch.randperm(len(X_train))
    total = 0.0
    for b in perm.split(32):
        opt.zero_grad()
        loss = mse(model(X_train[b]), y_train[b])
        loss.backward()
        opt.step()
        total += loss.item() * len(b)
    model.eval()
    with torch.no_grad():
        v = mse(model(X_val), y_val).item()
    history["loss"].append(total / len(X_train))
    history["val_loss"].append(v)
    if (epoch + 1) % 10 == 0:
        print("Epoch %d/60 - loss: %.4g - val_loss: %.4g" % (epoch + 1, history["loss"][-1], v))

with torch.no_grad():
    pred = model(X_test).numpy().ravel() * y_sd + y_mu
mae = np.abs(pred - y_test).mean()
r2 = 1 - ((pred - y_test) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()
for p, t in list(zip(pred, y_test))[:5]:
    print("predicted %9.0f   actual %9.0f" % (p, t))
print("Test MAE: $%.0f  R2: %.3f" % (mae, r2))
