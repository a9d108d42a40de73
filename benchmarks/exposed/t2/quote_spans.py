import os, random, string
import numpy as np
import torch
import torch.nn as nn

# Tag every character of a made-up line: 0 plain, 1 inside "..", 2 inside [..]
seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

CHARS = string.ascii_lowercase[:12] + ' "[]'
T = 20


def line():
    text, tags, state = "", [], 0
    while len(text) < T:
        c = random.choice("abcdefghijkl ")
        if random.random() < .2:
            if state == 0:
                c = random.choice('"[')
                state = 1 if c == '"' else 2
                text += c; tags.append(0)
                continue
            c = '"' if state == 1 else "]"
            state = 0
            text += c; tags.append(0)
            continue
        text += c; tags.append(state)
    return [CHARS.index(k) for k in text], tags


def corpus(n):
    rows = [line() for _ in range(n)]
    return torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows])


x_train, y_train = corpus(2000)
x_test, y_test = corpus(800)


class Tagger(nn.Module):
    """characters (batch, T) -> scores (T, batch, 3)"""

    def __init__(self, hidden=32):
        super().__init__()
        self.emb = nn.Embedding(len(CHARS), 12)
        self.rnn = nn.GRU(12, hidden, bidirectional=True)
        self.out = nn.Linear(2 * hidden, 3)

    def forward(self, x):
        h, _ = self.rnn(self.emb(x.t()))
        return self.out(h)


tagger = Tagger()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(tagger.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=.3)


def evaluate():
    tagger.eval()
    with torch.no_grad():
        guess = tagger(x_test).argmax(-1).t()
    return (guess == y_test).float().mean().item()


for epoch in range(6):
    tagger.train()
    losses = []
    for idx in torch.randperm(len(x_train)).split(40):
        optimizer.zero_grad()
        scores = tagger(x_train[idx])
        loss = criterion(scores.reshape(-1, 3), y_train[idx].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(tagger.parameters(), 5.)
        optimizer.step()
        losses.append(loss.item())
    scheduler.step()
    print(f"epoch {epoch:2d} | loss {np.mean(losses):.4f} | tag accuracy {evaluate():.4f}")
