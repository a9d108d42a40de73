# Made-up words of four made-up languages; an LSTM reads the letters and names the language.
# The languages are Markov chains, so the best possible accuracy can be computed.
import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

LETTERS, LANGS = 6, 4
common = np.random.dirichlet(np.ones(LETTERS), size=LETTERS)
chains = [0.3 * common + 0.7 * np.random.dirichlet(np.full(LETTERS, 0.5), size=LETTERS) for _ in range(LANGS)]


def word(lang):
    w = [random.randrange(LETTERS)]
    for _ in range(random.randint(5, 12)):
        w.append(int(np.searchsorted(chains[lang][w[-1]].cumsum(), random.random())) % LETTERS)
    return torch.tensor(w)


def make(n):
    return [(word(i % LANGS), i % LANGS) for i in range(n)]


def bayes(data):
    ok = 0
    for w, lang in data:
        ll = [np.log(c[w[:-1], w[1:]]).sum() for c in chains]
        ok += int(np.argmax(ll) == lang)
    return ok / len(data)


def collate(batch):
    words, langs = zip(*batch)
    return pad_sequence(words, batch_first=True), torch.tensor([len(w) for w in words]), torch.tensor(langs)


class Reader(nn.Module):
    def __init__(self, emb=8, hid=32):
        super().__init__()
        self.emb = nn.Embedding(LETTERS, emb)
        self.rnn = nn.LSTM(emb, hid, batch_first=True)
        self.out = nn.Linear(hid, LANGS)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.emb(x), lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.rnn(packed)
        return self.out(h[-1])


train, test = make(8000), make(3000)
print("best possible accuracy on the test words: %.4f" % bayes(test))
dl = DataLoader(train, batch_size=100, shuffle=True, collate_fn=collate)
xt, lt, yt = collate(test)
net = Reader()
opt = torch.optim.Adagrad(net.parameters(), lr=0.08)
for epoch in range(8):
    total = 0
    for x, l, y in dl:
        loss = nn.functional.cross_entropy(net(x, l), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    with torch.no_grad():
        acc = (net(xt, lt).argmax(1) == yt).float().mean()
    print(f"epoch {epoch + 1}: loss {total / len(dl):.4f}, accuracy {acc:.4f}")
