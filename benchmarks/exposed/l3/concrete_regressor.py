import os
import copy
import numpy as np
import pandas as pd
import torch
from torch import nn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = int(os.environ.get("SEED", 0))


class TorchRegressor(BaseEstimator, RegressorMixin):
    """Small MLP with the scikit-learn interface; keeps the weights of the best validation epoch."""

    def __init__(self, hidden=(64, 64), lr=5e-3, max_epochs=150, batch_size=32,
                 weight_decay=1e-2, val_fraction=0.15, random_state=0):
        self.hidden = hidden
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.val_fraction = val_fraction
        self.random_state = random_state

    def _build(self, d):
        layers = []
        for h in self.hidden:
            layers += [nn.Linear(d, h), nn.SiLU()]
            d = h
        return nn.Sequential(*layers, nn.Linear(d, 1))

    def fit(self, X, y):
        torch.manual_seed(self.random_state)
        Xt, Xv, yt, yv = train_test_split(np.asarray(X, dtype=np.float32), np.asarray(y, dtype=np.float32).reshape(-1, 1),
                                          test_size=self.val_fraction, random_state=self.random_state)
        Xt, Xv, yt, yv = map(torch.as_tensor, (Xt, Xv, yt, yv))
        self.net_ = self._build(Xt.shape[1])
        opt = torch.optim.AdamW(self.net_.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, self.max_epochs)
        best, best_state = float("inf"), None
        for epoch in range(self.max_epochs):
            self.net_.train()
            for idx in torch.randperm(len(Xt)).split(self.batch_size):
                opt.zero_grad()
                loss = nn.functional.mse_loss(self.net_(Xt[idx]), yt[idx])
                loss.backward()
                opt.step()
            self.net_.eval()
            with torch.no_grad():
                val = nn.functional.mse_loss(self.net_(Xv), yv).item()
            sched.step()
            if val < best:
                best, best_state, self.best_epoch_ = val, copy.deepcopy(self.net_.state_dict()), epoch + 1
        self.net_.load_state_dict(best_state)
        return self

    @torch.no_grad()
    def predict(self, X):
        self.net_.eval()
        return self.net_(torch.as_tensor(np.asarray(X, dtype=np.float32))).numpy().ravel()


if __name__ == "__main__":
    np.random.seed(SEED)
    df = pd.read_csv(os.environ["DATA"] + "/concrete.csv").drop_duplicates()
    df["age"] = np.log1p(df["age"])
    X, y = df.drop(columns="compressive_strength"), df["compressive_strength"]
    X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.2, random_state=SEED)
    reg = TransformedTargetRegressor(make_pipeline(StandardScaler(), TorchRegressor(random_state=SEED)),
                                     transformer=StandardScaler())
    reg.fit(X_tr, y_tr)
    p = reg.predict(X_te)
    print("best epoch:", reg.regressor_[-1].best_epoch_)
    print("MAE %.3f MPa" % mean_absolute_error(y_te, p))
    print("R2  %.4f" % r2_score(y_te, p))
