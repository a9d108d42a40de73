# label every step of a padded sequence: 1 = quiet, 2 = active, 0 = padding
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

T, D = 20, 5


def make(n):
    X = np.zeros((n, T, D), np.float32)
    Y = np.zeros((n, T), np.int64)
    for i in range(n):
        length = np.random.randint(8, T + 1)
        state = np.random.randint(1, 3)
        for t in range(length):
            if np.random.rand() < 0.12:
                state = 3 - state
            Y[i, t] = state
            X[i, t] = np.random.randn(D) * (1.5 if state == 2 else 0.7)
    return torch.from_numpy(X), torch.from_numpy(Y)


class Tagger(nn.Module):
    def __init__(self, units=20, n_tags=3):
        super().__init__()
        self.lstm = nn.LSTM(D, units, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(2 * units, n_tags)

    def forward(self, x):
        h, _ = self.lstm(x)
        return self.out(self.drop(h))


X_train, y_train = make(400)
X_test, y_test = make(300)

EPOCHS = 10
BATCH = 20
model = Tagger()
sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)


def step_accuracy(x, y):
    model.eval()
    with torch.no_grad():
        hit = model(x).argmax(-1) == y
    return hit[y > 0].float().mean().item()


for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    order = torch.randperm(len(X_train))
    for rows in order.split(BATCH):
        logits = model(X_train[rows])
        loss = F.cross_entropy(logits.reshape(-1, 3), y_train[rows].reshape(-1), ignore_index=0)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        total += loss.item() * len(rows)
    if (epoch + 1) % 5 == 0:
        print(f"Epoch {epoch + 1}/{EPOCHS}  loss {total / len(X_train):.4f}")

print(f"train step accuracy {step_accuracy(X_train, y_train):.4f}")
print(f"test step accuracy {step_accuracy(X_test, y_test):.4f}")
