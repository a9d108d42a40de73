import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import r2_score

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# --- data ---
data = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
data["age"] = np.log(data["age"])
target = "compressive_strength"
features = [c for c in data.columns if c != target]

X_train, X_test, y_train, y_test = train_test_split(data[features], data[target], test_size=0.2, random_state=SEED)

scaler = StandardScaler()
X_train = pd.DataFrame(scaler.fit_transform(X_train), columns=features, index=X_train.index)
X_test = scaler.transform(X_test)

# one table for training, drop incomplete mixes
train = pd.concat([X_train, y_train], axis=1).dropna()
print("training mixes:", len(train))

mu, sd = train[target].mean(), train[target].std()
Xt = torch.tensor(train[features].values, dtype=torch.float32)
yt = torch.tensor(((train[target] - mu) / sd).values, dtype=torch.float32).unsqueeze(1)
Xv = torch.tensor(X_test, dtype=torch.float32)


# --- model ---
class Regressor:
    def __init__(self, n_in, hidden=48, lr=3e-3, weight_decay=1e-4):
        self.net = nn.Sequential(nn.Linear(n_in, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=lr, weight_decay=weight_decay)
        self.crit = nn.MSELoss()

    def fit(self, X, y, epochs=120, batch_size=32):
        for e in range(epochs):
            idx = np.random.permutation(len(X))
            losses = []
            for s in range(0, len(idx), batch_size):
                b = idx[s:s + batch_size]
                self.opt.zero_grad()
                loss = self.crit(self.net(X[b]), y[b])
                loss.backward()
                self.opt.step()
                losses.append(loss.item())
            if (e + 1) % 20 == 0:
                print(f"[{e + 1}/{epochs}] mse {np.mean(losses):.4f}")
        return self

    def predict(self, X):
        with torch.no_grad():
            return self.net(X).numpy().ravel()


reg = Regressor(len(features)).fit(Xt, yt)
pred = reg.predict(Xv) * sd + mu
print("R2 on held-out mixes: %.4f" % r2_score(y_test, pred))
