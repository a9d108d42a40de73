import os, random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from sklearn.metrics import r2_score
from torch.utils.data import TensorDataset, DataLoader

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# --- hourly bike hire: counts from calendar and weather
df = pd.read_csv(os.path.join(os.environ['DATA'], 'bikeshare.csv'))
y = df['bikers'].to_numpy(np.float32)
X = df[['temp', 'atemp', 'hum', 'windspeed', 'holiday', 'workingday']].copy()
X['year_sin'] = np.sin(2 * np.pi * df['day'] / 365)
X['year_cos'] = np.cos(2 * np.pi * df['day'] / 365)
X = pd.concat([X, pd.get_dummies(df['hr'], prefix='h'), pd.get_dummies(df['weekday'], prefix='wd'),
               pd.get_dummies(df['weathersit'], prefix='w')], axis=1).to_numpy(np.float32)

# whole days are held out
days = np.random.permutation(df['day'].unique())
test_days = set(days[:70])
is_test = df['day'].isin(test_days).to_numpy()
mu, sd = X[~is_test, :4].mean(0), X[~is_test, :4].std(0)      # weather columns; the rest is 0/1 or sin/cos
X[:, :4] = (X[:, :4] - mu) / sd
Xtr, ytr = torch.tensor(X[~is_test]), torch.tensor(y[~is_test])
Xte, yte = torch.tensor(X[is_test]), y[is_test]
loader = DataLoader(TensorDataset(Xtr, ytr), batch_size=128, shuffle=True)


class CountNet(nn.Module):
    """Hourly rate, always positive."""
    def __init__(self, n_in, width=64):
        super().__init__()
        self.l1 = nn.Linear(n_in, width)
        self.l2 = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, x):
        x = torch.relu(self.l1(x))
        x = torch.relu(self.l2(x))
        return torch.exp(self.out(x)).squeeze(-1)


EPOCHS = 25
LR = 1e-3
net = CountNet(X.shape[1])
criterion = nn.PoissonNLLLoss()
opt = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=EPOCHS)

for epoch in range(1, EPOCHS + 1):
    net.train()
    s = 0.
    for xb, yb in loader:
        opt.zero_grad()
        loss = criterion(net(xb), yb)
        loss.backward()
        opt.step()
        s += loss.item() * len(xb)
    sched.step()
    if epoch % 3 == 1 or epoch == EPOCHS:
        print('epoch %d  train loss %.3f  lr %.5f' % (epoch, s / len(Xtr), sched.get_last_lr()[0]))

net.eval()
with torch.no_grad():
    rate = net(Xte).numpy()
print('mean count %.1f, mean predicted %.1f' % (yte.mean(), rate.mean()))
print('held-out days: R2 %.4f  MAE %.2f' % (r2_score(yte, rate), np.abs(yte - rate).mean()))
