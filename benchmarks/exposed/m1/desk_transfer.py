"""Help-desk routing. Pretrain a bag-of-embeddings encoder on the old 12 queues, then fit the new team's 5 queues."""
import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)

VOCAB, GROUPS, LENGTH = 600, 24, 30
word_group = rng.integers(0, GROUPS, VOCAB)
members = [np.flatnonzero(word_group == g) for g in range(GROUPS)]


def queue_profiles(n):
    return rng.dirichlet(np.full(GROUPS, 0.4), n)


def messages(profiles, n):
    y = rng.integers(0, len(profiles), n)
    docs = np.empty((n, LENGTH), dtype=np.int64)
    for i, c in enumerate(y):
        mix = 0.5 * profiles[c] + 0.5 / GROUPS
        docs[i] = [rng.choice(members[g]) for g in rng.choice(GROUPS, LENGTH, p=mix)]
    return torch.from_numpy(docs), torch.from_numpy(y)


class Router(nn.Module):
    def __init__(self, n_queues, dim=32):
        super().__init__()
        self.encoder = nn.Sequential(nn.EmbeddingBag(VOCAB, dim, mode="mean"), nn.Linear(dim, 48), nn.ReLU())
        self.head = nn.Linear(48, n_queues)

    def forward(self, x):
        return self.head(self.encoder(x))


def run_epochs(model, optimizer, x, y, epochs, tag):
    ce = nn.CrossEntropyLoss()
    for e in range(epochs):
        total = 0.0
        for b in torch.randperm(len(x)).split(40):
            optimizer.zero_grad()
            loss = ce(model(x[b]), y[b])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(b)
        if (e + 1) % 5 == 0:
            print(f"{tag} epoch {e + 1}: loss {total / len(x):.4f}")


def accuracy(model, x, y):
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


old = queue_profiles(12)
new = queue_profiles(5)
x_old, y_old = messages(old, 3000)
x_new, y_new = messages(new, 400)
x_test, y_test = messages(new, 1000)

model = Router(12)
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
run_epochs(model, optimizer, x_old, y_old, 10, "old queues")

# keep the encoder, new output layer
for p in model.encoder.parameters():
    p.requires_grad = False
model.head = nn.Linear(48, 5)
run_epochs(model, optimizer, x_new, y_new, 30, "new queues")
print(f"train acc {accuracy(model, x_new, y_new):.4f}  test acc {accuracy(model, x_test, y_test):.4f}")
