"""Screening from sustained vowels: each person was recorded many times,
each recording is described by acoustic measures (jitter, shimmer, ...)."""
import os, random, copy
import numpy as np, pandas as pd, torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.metrics import roc_auc_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


def load_recordings(n_people=240, n_rec=10, n_feat=14):
    rng = np.random.default_rng(1000 + SEED)
    ill = rng.permutation(np.arange(n_people) % 2)
    effect = rng.normal(0, 1, n_feat)
    effect *= 1.8 / np.linalg.norm(effect)
    rows = []
    for person in range(n_people):
        own_voice = rng.normal(0, 1, n_feat) + (ill[person] - .5) * effect
        for _ in range(n_rec):
            rows.append([person, ill[person], *(own_voice + rng.normal(0, .35, n_feat))])
    cols = ["subject", "status"] + [f"m{i:02d}" for i in range(n_feat)]
    return pd.DataFrame(rows, columns=cols)


def split(df, frac, seed):
    a, b = next(GroupShuffleSplit(1, test_size=frac, random_state=seed).split(df, groups=df.subject))
    return df.iloc[a], df.iloc[b]


class Screener(nn.Module):
    def __init__(self, d, width=128):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(d, width), nn.ReLU(), nn.Dropout(.2),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(.2),
            nn.Linear(width, 1))

    def forward(self, x):
        return self.layers(x)[:, 0]


def tensors(df, scaler):
    x = scaler.transform(df.drop(columns=["subject", "status"]).to_numpy())
    return torch.tensor(x, dtype=torch.float32), torch.tensor(df.status.to_numpy(), dtype=torch.float32)


def fit(train, val, max_epochs=60, patience=8, lr=1e-3):
    scaler = StandardScaler().fit(train.drop(columns=["subject", "status"]).to_numpy())
    x, y = tensors(train, scaler)
    xv, yv = tensors(val, scaler)
    net, bce = Screener(x.shape[1]), nn.BCEWithLogitsLoss()
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    best, wait, keep = 1e9, 0, None
    for epoch in range(max_epochs):
        net.train()
        for xb, yb in DataLoader(TensorDataset(x, y), 32, shuffle=True):
            opt.zero_grad()
            loss = bce(net(xb), yb)
            loss.backward()
            opt.step()
        net.eval()
        with torch.no_grad():
            vl = bce(net(xv), yv).item()
        print(f"epoch {epoch} train {loss.item():.3f} val {vl:.3f}")
        if vl < best - 1e-4:
            best, wait, keep = vl, 0, copy.deepcopy(net.state_dict())
        else:
            wait += 1
            if wait >= patience:
                break
    net.load_state_dict(keep)
    return net.eval(), scaler


if __name__ == "__main__":
    data = load_recordings()
    rest, test = split(data, .25, SEED)
    train, val = split(rest, .2, SEED + 1)
    net, scaler = fit(train, val)
    xt, yt = tensors(test, scaler)
    with torch.no_grad():
        p = torch.sigmoid(net(xt))
    print("recordings: train %d, val %d, test %d" % (len(train), len(val), len(test)))
    print("test AUC %.4f  accuracy %.4f" % (roc_auc_score(yt, p), ((p > .5).float() == yt).float().mean()))
