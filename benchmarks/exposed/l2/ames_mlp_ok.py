# House prices (Ames) with a small MLP; target is log(price), standardised
import os
import random

import numpy as np
import pandas as pd
import torch
from torch import nn
import torch.nn.functional as F
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
num = ["area", "Overall.Qual", "Overall.Cond", "Year.Built", "Year.Remod.Add", "Lot.Area", "Total.Bsmt.SF",
       "X1st.Flr.SF", "Garage.Cars", "Garage.Area", "Full.Bath", "Half.Bath", "Fireplaces", "TotRms.AbvGrd"]
cat = ["Neighborhood", "Bldg.Type", "House.Style", "Kitchen.Qual", "Exter.Qual"]

train_df, test_df = train_test_split(df, test_size=0.25, random_state=SEED)
prep = make_column_transformer(
    (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), num),
    (OneHotEncoder(handle_unknown="ignore"), cat),
    sparse_threshold=0,
)
X_train = torch.tensor(prep.fit_transform(train_df), dtype=torch.float32)
X_test = torch.tensor(prep.transform(test_df), dtype=torch.float32)

log_price = np.log(train_df["price"].values).reshape(-1, 1)
target_scaler = StandardScaler().fit(log_price)
y_train = torch.tensor(target_scaler.transform(log_price), dtype=torch.float32)


class Net(nn.Module):
    def __init__(self, n_features, n_hidden):
        super().__init__()
        self.layer_1 = nn.Linear(n_features, n_hidden)
        self.layer_2 = nn.Linear(n_hidden, n_hidden // 2)
        self.output_layer = nn.Linear(n_hidden // 2, 1)

    def forward(self, x):
        x = F.relu(self.layer_1(x))
        x = F.relu(self.layer_2(x))
        return self.output_layer(x)


net = Net(X_train.shape[1], 64)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=1e-4)
loss_func = nn.MSELoss()

BATCH = 64
for epoch in range(40):
    net.train()
    perm = torch.randperm(X_train.size(0))
    epoch_loss = 0.0
    for start in range(0, X_train.size(0), BATCH):
        idx = perm[start:start + BATCH]
        prediction = net(X_train[idx])
        loss = loss_func(prediction, y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(idx)
    if (epoch + 1) % 5 == 0:
        net.eval()
        with torch.no_grad():
            z = net(X_test).numpy()
        pred = np.exp(target_scaler.inverse_transform(z)).ravel()
        print(f"epoch {epoch + 1}: loss {epoch_loss / X_train.size(0):.4f}  "
              f"test R2 {r2_score(test_df['price'], pred):.4f}  "
              f"log-RMSE {np.sqrt(np.mean((np.log(pred) - np.log(test_df['price'])) ** 2)):.4f}")
