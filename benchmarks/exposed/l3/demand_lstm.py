import os
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# daily demand of 24 shops: trend + weekly season + autocorrelated noise
T, S = 400, 24
t = np.arange(T)
level = np.random.uniform(30, 120, S)
week = np.random.normal(0, 0.18, (S, 7))
ar = np.zeros((S, T))
for i in range(1, T):
    ar[:, i] = 0.8 * ar[:, i - 1] + np.random.normal(0, 0.07, S)
series = level[:, None] * (1 + 0.0006 * t + week[:, t % 7] + ar + np.random.normal(0, 0.03, (S, T)))

LOOKBACK = 28
train_end, val_end = 280, 330
mean = series[:, :train_end].mean(1, keepdims=True)
scaled = ((series / mean) - 1).astype("float32") / series[:, :train_end].std(1, keepdims=True).astype("float32") * mean.astype("float32")


class Windows(Dataset):
    def __init__(self, lo, hi):
        self.items = [(s, i) for s in range(S) for i in range(max(lo, LOOKBACK), hi)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        s, i = self.items[k]
        return torch.from_numpy(scaled[s, i - LOOKBACK:i, None]), torch.tensor(scaled[s, i])


class Forecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.LSTM(1, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, 1)

    def forward(self, x):
        out, _ = self.rnn(x)
        return x[:, -7, 0] + self.fc(out[:, -1]).squeeze(1)     # correction of the seasonal naive forecast


class Trainer:
    def __init__(self, model, lr=5e-3, epochs=25):
        self.model, self.epochs = model, epochs
        self.opt = torch.optim.Adam(model.parameters(), lr=lr)
        self.sched = torch.optim.lr_scheduler.CosineAnnealingLR(self.opt, epochs)
        self.crit = nn.MSELoss()

    def _epoch(self, loader, train):
        self.model.train(train)
        tot = 0.0
        with torch.set_grad_enabled(train):
            for x, y in loader:
                loss = self.crit(self.model(x), y)
                if train:
                    self.opt.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                    self.opt.step()
                tot += loss.item() * len(y)
        return tot / len(loader.dataset)

    def fit(self, train_loader, val_loader):
        best, self.best_state = float("inf"), None
        for e in range(self.epochs):
            tr = self._epoch(train_loader, True)
            va = self._epoch(val_loader, False)
            self.sched.step()
            if va < best:
                best = va
                self.best_state = {k: v.clone() for k, v in self.model.state_dict().items()}
            if e % 5 == 0:
                print(f"epoch {e:02d} train {tr:.4f} val {va:.4f}")
        self.model.load_state_dict(self.best_state)

    def test(self, loader):
        return self._epoch(loader, False)


train_loader = DataLoader(Windows(0, train_end), batch_size=64, shuffle=True)
val_loader = DataLoader(Windows(train_end, val_end), batch_size=256)
test_set = Windows(val_end, T)
test_loader = DataLoader(test_set, batch_size=256)
trainer = Trainer(Forecaster())
trainer.fit(train_loader, val_loader)
naive = np.mean([(scaled[s, i] - scaled[s, i - 7]) ** 2 for s, i in test_set.items])
print(f"seasonal naive mse {naive:.4f}")
print(f"test mse {trainer.test(test_loader):.4f}")
