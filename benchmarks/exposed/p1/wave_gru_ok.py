import os, random, math
import numpy as np
import torch
from torch import nn, optim

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

SHAPES = ["sine", "square", "saw", "triangle"]


def make_wave(kind, n=40):
    f = random.uniform(1.5, 4.0)
    ph = random.uniform(0, 1)
    t = (np.arange(n) / n * f + ph) % 1.0
    if kind == 0:
        w = np.sin(2 * math.pi * t)
    elif kind == 1:
        w = np.where(t < 0.5, 1.0, -1.0)
    elif kind == 2:
        w = 2 * t - 1
    else:
        w = 4 * np.abs(t - 0.5) - 1
    return w * random.uniform(0.7, 1.3) + 0.15 * np.random.randn(n)


def make_set(n):
    ys = [random.randrange(4) for _ in range(n)]
    xs = np.stack([make_wave(k) for k in ys])
    return torch.tensor(xs, dtype=torch.float32).unsqueeze(-1), torch.tensor(ys)


class WaveRNN(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, len(SHAPES))

    def forward(self, x):
        out, h = self.rnn(x)
        return self.fc(out.mean(dim=1))


def train(model, x, y, optimizer, criterion, bs=40):
    model.train()
    perm = torch.randperm(len(x))
    total = 0
    for i in range(0, len(x), bs):
        idx = perm[i:i + bs]
        output = model(x[idx])
        loss = criterion(output, y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(idx)
    return total / len(x)


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


x_train, y_train = make_set(1600)
x_val, y_val = make_set(600)
model = WaveRNN()
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.2, momentum=0.9)

for epoch in range(25):
    l = train(model, x_train, y_train, optimizer, criterion)
    if epoch % 3 == 0 or epoch == 24:
        print(f"epoch {epoch:2d} train_loss {l:.3f} val_acc {evaluate(model, x_val, y_val):.3f}")
