import os, random
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get('SEED', 0))
np.random.seed(SEED)
random.seed(SEED)
torch.manual_seed(SEED)


class ArrayLoader:
    """Small batch feeder; scales columns to their range and shuffles every epoch."""

    def __init__(self, features, targets, shuffle=True, stats=None):
        self.lo, self.span = stats if stats is not None else (features.min(axis=0), np.ptp(features, axis=0))
        self.features = self.normalize(features)
        self.targets = targets.astype(np.float32).reshape(-1, 1)
        self.shuffle = shuffle

    @property
    def stats(self):
        return self.lo, self.span

    def normalize(self, data):
        span = np.where(self.span == 0.0, 1.0, self.span)
        return np.float32((data - self.lo) / span)

    def prepare(self, batch):
        return torch.from_numpy(np.float32(batch))

    def epoch(self, batch_size):
        idx = np.random.permutation(len(self.features)) if self.shuffle else np.arange(len(self.features))
        for s in range(0, len(idx), batch_size):
            k = idx[s:s + batch_size]
            yield self.prepare(self.features[k]), torch.from_numpy(self.targets[k])


def build(n_in):
    net = nn.Sequential(nn.Linear(n_in, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    for m in net:
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight, nonlinearity='relu')
            nn.init.zeros_(m.bias)
    return net


def score(net, loader):
    with torch.no_grad():
        pairs = [(net(x), y) for x, y in loader.epoch(256)]
    p, y = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    mae = (p - y).abs().mean().item()
    r2 = 1 - ((p - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()
    return mae, r2


dataset = pd.read_csv(os.path.join(os.environ['DATA'], 'concrete.csv'))
train_df = dataset.sample(frac=0.8, random_state=SEED)
test_df = dataset.drop(train_df.index)
target = 'compressive_strength'
train_loader = ArrayLoader(train_df.drop(columns=target).to_numpy(float), train_df[target].to_numpy())
test_loader = ArrayLoader(test_df.drop(columns=target).to_numpy(float), test_df[target].to_numpy(), shuffle=False,
                          stats=train_loader.stats)

net = build(8)
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
criterion = nn.MSELoss()
for epoch in range(150):
    for xb, yb in train_loader.epoch(32):
        optimizer.zero_grad()
        loss = criterion(net(xb), yb)
        loss.backward()
        optimizer.step()
    if (epoch + 1) % 25 == 0:
        print('epoch', epoch + 1, 'train MAE %.3f R2 %.3f' % score(net, train_loader))

mae, r2 = score(net, test_loader)
print('test MAE %.3f' % mae)
print('test R2 %.4f' % r2)
