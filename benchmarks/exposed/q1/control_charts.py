import math
import os
import random
import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class ControlCharts(Dataset):
    """Synthetic control chart series: normal, cyclic, up/down trend, up/down shift."""
    T = 48

    def __init__(self, n_per_class, seed):
        r = np.random.RandomState(seed)
        t = np.arange(self.T)
        xs, ys = [], []
        for k in range(6):
            for _ in range(n_per_class):
                s = r.normal(0, 1.0, self.T)
                if k == 1:
                    s += r.uniform(1.0, 2.0) * np.sin(2 * math.pi * t / r.uniform(8, 14) + r.uniform(0, 6))
                elif k in (2, 3):
                    s += (1 if k == 2 else -1) * r.uniform(0.04, 0.1) * t
                elif k in (4, 5):
                    s += (1 if k == 4 else -1) * r.uniform(1.5, 3.0) * (t >= r.randint(14, 34))
                xs.append(s)
                ys.append(k)
        self.x = torch.tensor(np.array(xs) / 2.0, dtype=torch.float32).unsqueeze(-1)
        self.y = torch.tensor(ys)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Classifier(nn.Module):
    def __init__(self, units=32):
        super().__init__()
        self.rnn = nn.GRU(1, units, batch_first=True)
        self.fc = nn.Linear(2 * units, 6)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.fc(torch.cat([h.mean(1), h[:, -1]], dim=1))


def train(model, loader, optimizer, scheduler, loss_fn):
    model.train()
    losses = []
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def test(model, loader):
    model.eval()
    hit = n = 0
    with torch.no_grad():
        for xb, yb in loader:
            hit += (model(xb).argmax(1) == yb).sum().item()
            n += len(yb)
    return hit / n


train_loader = DataLoader(ControlCharts(150, SEED + 1), batch_size=20, shuffle=True)
test_loader = DataLoader(ControlCharts(150, SEED + 9001), batch_size=300)
model = Classifier()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
decay = 0.1
scheduler = LambdaLR(optimizer, lambda n: 1.0 / (1.0 + decay * n))
loss_fn = nn.CrossEntropyLoss()
for epoch in range(1, 26):
    loss = train(model, train_loader, optimizer, scheduler, loss_fn)
    if epoch % 5 == 0:
        print("epoch %d  loss %.4f" % (epoch, loss))
print("accuracy on new series: %.4f" % test(model, test_loader))
