# pretrain on digits 0-4, then move the network to digits 5-9 with few examples
import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

d = load_digits()
X = torch.tensor(d.images / 16.0, dtype=torch.float32).unsqueeze(1)
y = torch.tensor(d.target)
perm = torch.randperm(len(y))
X, y = X[perm], y[perm]
source = y < 5
Xs, ys = X[source], y[source]
Xt, yt = X[~source], y[~source] - 5
X_few, y_few, X_test, y_test = Xt[:150], yt[:150], Xt[150:], yt[150:]


class ConvNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.fc = nn.Linear(32 * 16, n_classes)

    def forward(self, x):
        return self.fc(self.features(x))


def train(model, optimizer, X, y, epochs, tag):
    for ep in range(epochs):
        total = 0.0
        for b in torch.randperm(len(X)).split(32):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(X[b]), y[b])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(b)
        if (ep + 1) % 5 == 0:
            print(f"{tag} epoch {ep + 1} loss {total / len(X):.4f}")


model = ConvNet(5)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
train(model, optimizer, Xs, ys, 10, "pretrain")

# new task: keep the features, train a fresh classifier
for p in model.features.parameters():
    p.requires_grad = False
model.fc = nn.Linear(32 * 16, 5)
optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-3)
train(model, optimizer, X_few, y_few, 40, "transfer")

model.eval()
with torch.no_grad():
    acc = (model(X_test).argmax(1) == y_test).float().mean().item()
print(f"target test accuracy {acc:.4f}")
