import os, random
import numpy as np, pandas as pd
import torch, torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
df = df.groupby(list(df.columns[:-1]), as_index=False).mean()      # average replicated mixtures
X = df.drop(columns="compressive_strength").values.copy()
X[:, -1] = np.log1p(X[:, -1])      # age in days is very skewed
y = df["compressive_strength"].values

K = 4
folds = np.array_split(np.random.permutation(len(X)), K)

def fit_fold(train_idx, test_idx, epochs=200, lr=6e-3, batch_size=64):
    mx, sx = X[train_idx].mean(0), X[train_idx].std(0)
    my, sy = y[train_idx].mean(), y[train_idx].std()
    xt = torch.tensor((X - mx) / sx, dtype=torch.float32)
    yt = torch.tensor((y - my) / sy, dtype=torch.float32).view(-1, 1)
    model = nn.Sequential(nn.Linear(8, 128), nn.GELU(), nn.Linear(128, 32), nn.GELU(), nn.Linear(32, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    criterion = nn.MSELoss()
    for epoch in range(epochs):
        p = np.random.permutation(train_idx)
        for s in range(0, len(p), batch_size):
            b = p[s:s + batch_size]
            optimizer.zero_grad()
            loss = criterion(model(xt[b]), yt[b])
            loss.backward()
            optimizer.step()
        scheduler.step()
    with torch.no_grad():
        pred = model(xt[test_idx]).squeeze(1).numpy() * sy + my
    return pred, loss.item()

oof = np.zeros(len(y))
for k in range(K):
    test_idx = folds[k]
    train_idx = np.concatenate([folds[j] for j in range(K) if j != k])
    oof[test_idx], last = fit_fold(train_idx, test_idx)
    r = np.sqrt(np.mean((oof[test_idx] - y[test_idx]) ** 2))
    print(f"fold {k + 1}: last batch loss {last:.4f}, RMSE {r:.2f} MPa")
print(f"cross-validated RMSE {np.sqrt(np.mean((oof - y) ** 2)):.3f} MPa")
