# %% concrete strength from the mix
import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import r2_score, mean_absolute_error
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# %% load; keep the table compact
df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
features = [c for c in df.columns if c != "compressive_strength"]
X = df[features].to_numpy(dtype=np.float32)
y = df["compressive_strength"].to_numpy(dtype=np.float32)
print(df.shape, f"{X.nbytes / 1024:.0f} kB")

X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=SEED)

# %% standardise with the training part
mu, sigma = X_train.mean(axis=0), X_train.std(axis=0)
X_train = (X_train - mu) / sigma
X_test = (X_test - mu) / sigma
y_mean, y_std = y_train.mean(), y_train.std()

xt = torch.tensor(X_train, dtype=torch.float32)
yt = torch.tensor((y_train - y_mean) / y_std).unsqueeze(1)
xv = torch.tensor(X_test, dtype=torch.float32)

# %% model
model = nn.Sequential(
    nn.Linear(len(features), 64), nn.SiLU(),
    nn.Linear(64, 64), nn.SiLU(),
    nn.Linear(64, 1),
)
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
epochs = 120
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)

# %% train
for epoch in range(1, epochs + 1):
    model.train()
    losses = []
    for idx in torch.randperm(len(xt)).split(32):
        loss = nn.functional.mse_loss(model(xt[idx]), yt[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    sched.step()
    if epoch % 20 == 0:
        print(f"epoch {epoch}: train mse {np.mean(losses):.4f}")

# %% evaluate
model.eval()
with torch.no_grad():
    pred = model(xv).squeeze(1).numpy() * y_std + y_mean
print(f"test MAE {mean_absolute_error(y_test, pred):.2f} MPa   R2 {r2_score(y_test, pred):.3f}")
