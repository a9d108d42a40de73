# Guess the language of an invented surname from its letters.
import os, random
import numpy as np, torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

SYL = {
    "it": (["ro", "ma", "li", "be", "gia", "co", "fe", "ra", "sa", "to"], ["ni", "ri", "lli", "tti", "no", "zzo"]),
    "pl": (["ko", "wa", "mi", "ja", "no", "ra", "le", "sa", "be", "wo"], ["ski", "wicz", "czyk", "ak", "no", "ek"]),
    "jp": (["ya", "ma", "ta", "ka", "sa", "to", "mi", "no", "ki", "fu"], ["moto", "da", "ra", "ki", "no", "shi"]),
    "sv": (["an", "lin", "berg", "sven", "ny", "ek", "ma", "li", "hol", "sa"], ["son", "gren", "qvist", "ek", "lund", "ni"]),
}
LANGS = sorted(SYL)
LETTERS = "abcdefghijklmnopqrstuvwxyz"

def make(lang):
    first, last = SYL[lang]
    s = "".join(random.choices(first, k=random.randint(1, 3))) + random.choice(last)
    if random.random() < 0.15:        # misspelling
        i = random.randrange(len(s)); s = s[:i] + random.choice(LETTERS) + s[i + 1:]
    return s

seen = {}
while len(seen) < 4500:
    k = random.randrange(4)
    seen.setdefault(make(LANGS[k]), k)
pairs = list(seen.items())
random.shuffle(pairs)
encode = lambda s: torch.tensor([LETTERS.index(c) + 1 for c in s])
train, dev, test = pairs[:3200], pairs[3200:3700], pairs[3700:]

class NameRNN(nn.Module):
    def __init__(self, emb=16, hid=48):
        super().__init__()
        self.emb = nn.Embedding(27, emb, padding_idx=0)
        self.rnn = nn.GRU(emb, hid, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(hid, len(LANGS))
    def forward(self, names):
        lens = torch.tensor([len(n) for n in names])
        x = self.emb(pad_sequence(names, batch_first=True))
        _, h = self.rnn(pack_padded_sequence(x, lens, batch_first=True, enforce_sorted=False))
        return self.out(self.drop(h[-1]))

model = NameRNN()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
EPOCHS = 12
sched = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 1 - e / EPOCHS)

def accuracy(data):
    model.eval()
    with torch.no_grad():
        p = model([encode(s) for s, _ in data]).argmax(1)
    return (p == torch.tensor([k for _, k in data])).float().mean().item()

for e in range(EPOCHS):
    model.train()
    random.shuffle(train)
    s = 0
    for i in range(0, len(train), 50):
        chunk = train[i:i + 50]
        target = torch.tensor([k for _, k in chunk])
        loss = nn.functional.cross_entropy(model([encode(n) for n, _ in chunk]), target)
        optimizer.zero_grad(); loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        s += loss.item() * len(chunk)
    sched.step()
    print(f"epoch {e}: nll {s / len(train):.3f} dev {accuracy(dev):.3f}")
print("test", round(accuracy(test), 4))
