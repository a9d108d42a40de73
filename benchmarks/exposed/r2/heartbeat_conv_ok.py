"""Beat classifier, five rhythm classes, single lead."""
import os
import random
import numpy as np
import torch
from torch import nn
from sklearn.metrics import f1_score

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


def beats(n, rng, length=96):
    t = np.linspace(0, 1, length)
    X, y = np.zeros((n, 1, length), np.float32), rng.integers(0, 5, n)

    def bump(c, w, a):
        return a * np.exp(-0.5 * ((t - c) / w) ** 2)

    for i, k in enumerate(y):
        c = 0.4 + rng.normal(0, 0.03)
        qrs = 0.018 * rng.uniform(0.8, 1.25)
        p, tw, pr = rng.uniform(0.12, 0.22), rng.uniform(0.2, 0.38), 0.15 + rng.normal(0, 0.012)
        if k == 1:
            p = rng.uniform(0, 0.06)                # atrial premature
        elif k == 2:
            qrs *= rng.uniform(1.7, 2.4)            # ventricular
        elif k == 3:
            tw = -rng.uniform(0.08, 0.3)            # inverted T
        elif k == 4:
            pr += rng.uniform(0.05, 0.09)           # long PR
        s = bump(c - pr, 0.025, p) + bump(c, qrs, 1.0) - bump(c + 2.2 * qrs, qrs, 0.25) + bump(c + 0.3, 0.05, tw)
        wander = 0.15 * np.sin(2 * np.pi * (rng.uniform(0.3, 1.2) * t + rng.uniform()))
        X[i, 0] = rng.uniform(0.6, 1.6) * (s + rng.normal(0, 0.035, length)) + wander
    return torch.tensor(X), torch.tensor(y)


def conv_bn(cin, cout, k, stride=1):
    return nn.Sequential(
        nn.Conv1d(cin, cout, k, stride=stride, padding=k // 2, bias=False),
        nn.BatchNorm1d(cout, eps=1e-3, momentum=0.01),
        nn.ReLU(),
    )


class BeatNet(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.features = nn.Sequential(
            conv_bn(1, 16, 7),
            conv_bn(16, 24, 5, 2),
            conv_bn(24, 32, 5, 2),
            conv_bn(32, 48, 3, 2),
        )
        self.fc = nn.Sequential(nn.Flatten(), nn.Linear(48 * 12, 32), nn.BatchNorm1d(32, eps=1e-3, momentum=0.01),
                                nn.ReLU(), nn.Linear(32, classes))

    def forward(self, x):
        return self.fc(self.features(x))


rng = np.random.default_rng(seed)
X, y = beats(1602, rng)
Xv, yv = beats(800, rng)
net = BeatNet()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
crit = nn.CrossEntropyLoss()
batch = 8

for epoch in range(10):
    net.train()
    order = torch.randperm(len(X))
    hist = []
    for idx in order.split(batch):
        loss = crit(net(X[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        hist.append(loss.item())
    net.eval()
    with torch.no_grad():
        out = net(Xv)
    pred = out.argmax(1)
    print(f"epoch {epoch + 1}/10 - loss: {np.mean(hist):.4f} - val_loss: {crit(out, yv).item():.4f} "
          f"- val_acc: {(pred == yv).float().mean().item():.4f} - val_f1: {f1_score(yv, pred, average='macro'):.4f}")
