import os
import random
from collections import Counter

import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

PARTS = {
    "disk": ["Read Error On Sector", "Smart Threshold Exceeded", "Volume Almost Full", "Raid Array Degraded"],
    "net": ["Link Down On Port", "Packet Loss Detected", "Dns Lookup Timed Out", "Address Conflict Detected"],
    "auth": ["Login Failed For User", "Token Expired For Session", "Password Changed For User", "Access Denied On Share"],
    "app": ["Service Restarted After Crash", "Queue Length Exceeded", "Request Timed Out", "Config Reloaded For Session"],
}
NOISE = "Host Node Rack Zone Alpha Beta Gamma Delta Event Code Report Notice".split()
CLASSES = sorted(PARTS)


def log_line():
    c = random.randrange(4)
    toks = random.choice(PARTS[CLASSES[c]]).split()
    toks = [t if random.random() > 0.15 else random.choice(NOISE) for t in toks]
    pre = [random.choice(NOISE) for _ in range(random.randint(1, 5))]
    post = [random.choice(NOISE) for _ in range(random.randint(0, 4))]
    return " ".join(pre + toks + post), c


lines = [log_line() for _ in range(4000)]
train, test = lines[:3200], lines[3200:]

# vocabulary from the training lines
counts = Counter(w for text, _ in train for w in text.lower().split())
stoi = {"<pad>": 0, "<unk>": 1}
for w, n in counts.most_common():
    if n >= 3:
        stoi[w] = len(stoi)


def encode(text, maxlen=14):
    ids = [stoi.get(w, 1) for w in text.lower().split()][:maxlen]
    return ids + [0] * (maxlen - len(ids))


def tensors(rows):
    return torch.tensor([encode(t) for t, _ in rows]), torch.tensor([c for _, c in rows])


class LogClassifier(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.embedding = nn.Embedding(vocab, 24, padding_idx=0)
        self.rnn = nn.GRU(24, 32, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(64, 4)

    def forward(self, ids):
        out, _ = self.rnn(self.embedding(ids))
        return self.fc(out.max(dim=1).values)


xtr, ytr = tensors(train)
xte, yte = tensors(test)
print("vocabulary", len(stoi), "train", tuple(xtr.shape), "test", tuple(xte.shape))
model = LogClassifier(len(stoi))
optim = torch.optim.RMSprop(model.parameters(), lr=2e-3)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(8):
    model.train()
    losses = []
    for b in torch.randperm(len(xtr)).split(40):
        optim.zero_grad()
        loss = loss_fn(model(xtr[b]), ytr[b])
        loss.backward()
        optim.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        acc = (model(xte).argmax(1) == yte).float().mean()
    print(f"epoch {epoch}: train loss {sum(losses) / len(losses):.4f}, test acc {acc:.4f}")
