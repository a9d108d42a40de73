import os
import random

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# documents as word counts, each with annotated topic shares
N, VOCAB, TOPICS, WORDS = 3000, 120, 6, 150
topics = np.random.dirichlet(np.full(VOCAB, 0.15), size=TOPICS)
share = np.random.dirichlet(np.full(TOPICS, 0.8), size=N)
counts = np.stack([np.random.multinomial(WORDS, s @ topics) for s in share])
X = torch.tensor(np.sqrt(counts), dtype=torch.float32)
Y = torch.tensor(share, dtype=torch.float32)

n_train = 2400
loader = DataLoader(TensorDataset(X[:n_train], Y[:n_train]), batch_size=40, shuffle=True)
Xv, Yv = X[n_train:], Y[n_train:]


class TopicNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(VOCAB, 64)
        self.fc2 = nn.Linear(64, TOPICS)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


model = TopicNet()
criterion = nn.KLDivLoss(reduction="batchmean")
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(30):
    model.train()
    total = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        out = torch.log_softmax(model(xb), dim=1)
        loss = criterion(out, yb)
        loss.backward()
        optimizer.step()
        total += loss.item()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1}: loss {total / len(loader):.4f}")

model.eval()
with torch.no_grad():
    p = torch.softmax(model(Xv), dim=1)
print("final mean absolute error of shares", round((p - Yv).abs().mean().item(), 4))
