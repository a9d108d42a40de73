"""House prices in Ames, Iowa: a small MLP on log price."""
import os, random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler, OneHotEncoder
from sklearn.compose import ColumnTransformer

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

LR = 2e-3
EPOCHS = 40
BATCH = 64
HIDDEN = 128

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames_clean.csv"), keep_default_na=False)
y = np.log(df.pop("Sale_Price").astype(float).values)
num = [c for c in df.columns if pd.api.types.is_numeric_dtype(df[c])]
cat = [c for c in df.columns if c not in num]
skewed = ["Lot_Area", "Gr_Liv_Area", "First_Flr_SF"]
df[skewed] = np.log1p(df[skewed])

tr, te, ytr, yte = train_test_split(df, y, test_size=0.2, random_state=SEED)
prep = ColumnTransformer([
    ("num", StandardScaler(), num),
    ("cat", OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False), cat),
])
with np.errstate(all="ignore"):
    xtr = prep.fit_transform(tr)
    xte = prep.transform(te)
xtr, xte = np.clip(xtr, -5, 5), np.clip(xte, -5, 5)
mu, sd = ytr.mean(), ytr.std()

train_ds = TensorDataset(torch.tensor(xtr, dtype=torch.float32),
                         torch.tensor((ytr - mu) / sd, dtype=torch.float32).unsqueeze(1))
loader = DataLoader(train_ds, batch_size=BATCH, shuffle=True)
xte = torch.tensor(xte, dtype=torch.float32)

model = nn.Sequential(
    nn.Linear(xtr.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(HIDDEN, 64), nn.ReLU(), nn.Dropout(0.1),
    nn.Linear(64, 1),
)
opt = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
loss_fn = nn.MSELoss()


def score():
    model.eval()
    with torch.no_grad():
        p = model(xte).squeeze(1).numpy() * sd + mu
    return 1 - ((p - yte) ** 2).sum() / ((yte - yte.mean()) ** 2).sum()


for epoch in range(1, EPOCHS + 1):
    model.train()
    total = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        opt.step()
        total += loss.item() * len(xb)
    sched.step()
    if epoch % 5 == 0:
        print(f"epoch {epoch:3d}  train mse {total / len(train_ds):.4f}  test R2 {score():.4f}")

print(f"final test R2 (log price): {score():.4f}")
