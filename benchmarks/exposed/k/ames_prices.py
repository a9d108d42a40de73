"""House prices in Ames: log price from numeric and categorical columns."""
import os, random
import numpy as np, pandas as pd, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.pipeline import make_pipeline
from sklearn.impute import SimpleImputer
from sklearn.compose import ColumnTransformer

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv"))
y = np.log(df.pop("price")).to_numpy()
df = df.drop(columns=["Order", "PID"])
df["MS.SubClass"] = df["MS.SubClass"].astype(str)
for c in ["Lot.Area", "area"]:
    df[c] = np.log1p(df[c])
cat = [c for c in df.columns if not pd.api.types.is_numeric_dtype(df[c])]
num = [c for c in df.columns if c not in cat]
df[cat] = df[cat].astype(object).where(df[cat].notna(), "none")

tr, te = train_test_split(np.arange(len(df)), test_size=0.2, random_state=SEED)
tr, va = train_test_split(tr, test_size=0.15, random_state=SEED)

prep = ColumnTransformer([
    ("num", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), num),
    ("cat", OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False), cat)])
Xtr = prep.fit_transform(df.iloc[tr]).clip(-5, 5)
Xva, Xte = [prep.transform(df.iloc[i]).clip(-5, 5) for i in (va, te)]
mu, sd = y[tr].mean(), y[tr].std()
t = lambda a: torch.tensor(a, dtype=torch.float32)

loader = DataLoader(TensorDataset(t(Xtr), t((y[tr] - mu) / sd)), batch_size=64, shuffle=True)
model = nn.Sequential(
    nn.Linear(Xtr.shape[1], 128), nn.ReLU(), nn.Dropout(0.2),
    nn.Linear(128, 32), nn.ReLU(),
    nn.Linear(32, 1))
epochs = 50
opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
loss_fn = nn.SmoothL1Loss()

def rmse(X, target):
    model.eval()
    with torch.no_grad():
        p = model(t(X)).squeeze(1).numpy() * sd + mu
    return float(np.sqrt(np.mean((p - target) ** 2)))

best, best_state, bad = 1e9, None, 0
for epoch in range(epochs):
    model.train()
    running = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        loss = loss_fn(model(xb).squeeze(1), yb)
        loss.backward()
        opt.step()
        running += loss.item() * len(xb)
    sched.step()
    v = rmse(Xva, y[va])
    if v < best:
        best, bad = v, 0
        best_state = {k: w.clone() for k, w in model.state_dict().items()}
    else:
        bad += 1
    if epoch % 5 == 0:
        print(f"epoch {epoch:3d} train {running / len(tr):.4f} val rmse(log) {v:.4f}")
    if bad >= 20:
        print("early stop at", epoch)
        break
model.load_state_dict(best_state)
print(f"test rmse(log price): {rmse(Xte, y[te]):.4f}")
