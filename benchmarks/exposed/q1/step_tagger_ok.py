# per-step state tagging of padded multichannel sequences with a bidirectional LSTM
import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

MAXLEN, CHANNELS, N_TAGS = 20, 5, 3
rng = np.random.RandomState(SEED + 100)
trans = np.array([[0.85, 0.10, 0.05], [0.05, 0.85, 0.10], [0.10, 0.05, 0.85]])
centers = np.array([[0.0, 0.9, -0.6, 0.2, 0.5], [0.9, 0.0, 0.5, -0.6, 0.2], [0.4, 0.4, 0.9, 0.5, -0.7]])


def make_sequences(n):
    X = np.zeros((n, MAXLEN, CHANNELS), dtype=np.float32)
    y = np.full((n, MAXLEN), -1, dtype=np.int64)
    lengths = rng.randint(5, MAXLEN + 1, size=n)
    for i, L in enumerate(lengths):
        s = rng.randint(N_TAGS)
        for t in range(L):
            X[i, t] = centers[s] + rng.normal(0, 1.0, CHANNELS)
            y[i, t] = s
            s = rng.choice(N_TAGS, p=trans[s])
    return torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(lengths)


class Tagger(nn.Module):
    def __init__(self, units=20):
        super().__init__()
        self.lstm = nn.LSTM(CHANNELS, units, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.2)
        self.dense = nn.Linear(2 * units, N_TAGS)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        h, _ = self.lstm(packed)
        h, _ = pad_packed_sequence(h, batch_first=True, total_length=MAXLEN)
        return self.dense(self.drop(h))


X_train, y_train, len_train = make_sequences(80)
X_test, y_test, len_test = make_sequences(400)
model = Tagger()
sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
loss_fn = nn.CrossEntropyLoss(ignore_index=-1)
EPOCHS, BATCH = 120, 20

for epoch in range(EPOCHS):
    model.train()
    perm = torch.randperm(len(X_train))
    logged = []
    for k in range(0, len(perm), BATCH):
        b = perm[k:k + BATCH]
        out = model(X_train[b], len_train[b])
        loss = loss_fn(out.reshape(-1, N_TAGS), y_train[b].reshape(-1))
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        logged.append(loss.item())
    if epoch % 2 == 1:
        print("Epoch %d/%d  loss: %.4f" % (epoch + 1, EPOCHS, np.mean(logged)))

model.eval()
with torch.no_grad():
    pred = model(X_test, len_test).argmax(-1)
real = y_test >= 0
print("tag accuracy: %.4f" % (pred[real] == y_test[real]).float().mean().item())
