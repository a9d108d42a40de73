import os, random
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader
from torch.nn.utils.rnn import pad_sequence

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
torch.manual_seed(SEED)

# ---------------------------------------------------------------- text
PLACES = ["oslo", "lyon", "porto", "turin", "ghent", "cork", "vienna", "malmo", "zagreb", "riga"]
SKY = ["clear", "cloudy", "overcast", "misty", "stormy", "bright"]
WIND = ["calm", "a light breeze", "strong gusts", "a cold northerly wind", "a warm wind from the south"]
DAY = ["today", "tonight", "tomorrow", "on sunday", "on friday"]


def sentence():
    low = random.randint(-9, 22)
    kind = random.random()
    if kind < 0.4:
        return f"{random.choice(DAY)} in {random.choice(PLACES)} it will be {random.choice(SKY)} with {random.choice(WIND)}."
    if kind < 0.75:
        return f"temperatures in {random.choice(PLACES)} between {low} and {low + random.randint(3, 9)} degrees."
    return f"expect {random.choice(WIND)} and {random.choice(SKY)} skies near {random.choice(PLACES)} {random.choice(DAY)}."


class Lines(Dataset):
    def __init__(self, lines, stoi):
        self.items = [torch.tensor([stoi[c] for c in line]) for line in lines]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    input_ids = pad_sequence([s[:-1] for s in batch], batch_first=True, padding_value=0)
    labels = pad_sequence([s[1:] for s in batch], batch_first=True, padding_value=-100)
    return input_ids, labels


class CharLM(nn.Module):
    def __init__(self, vocab, emb=32, hidden=96):
        super().__init__()
        self.emb = nn.Embedding(vocab, emb, padding_idx=0)
        self.rnn = nn.GRU(emb, hidden, batch_first=True)
        self.head = nn.Linear(hidden, vocab)

    def forward(self, input_ids, labels=None):
        h, _ = self.rnn(self.emb(input_ids))
        logits = self.head(h)
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, logits.size(-1)), labels[:, 1:].reshape(-1), ignore_index=-100)
        return logits, loss


@torch.no_grad()
def next_char_accuracy(model, ds):
    model.eval()
    hit = n = 0
    for s in ds:
        logits, _ = model(s[None, :-1])
        hit += (logits[0].argmax(-1) == s[1:]).sum().item()
        n += len(s) - 1
    return hit / n


@torch.no_grad()
def complete(model, text, stoi, itos, n=40):
    ids = [stoi[c] for c in text]
    for _ in range(n):
        ids.append(model(torch.tensor([ids]))[0][0, -1].argmax().item())
    return "".join(itos[i] for i in ids)


lines = [sentence() for _ in range(1500)]
chars = sorted(set("".join(lines)))
stoi = {c: i + 1 for i, c in enumerate(chars)}
itos = {i: c for c, i in stoi.items()}
itos[0] = "_"
train_ds, val_ds = Lines(lines[:1300], stoi), Lines(lines[1300:], stoi)
loader = DataLoader(train_ds, batch_size=16, shuffle=True, collate_fn=collate)

model = CharLM(len(chars) + 1)
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(4):
    model.train()
    total = 0
    for input_ids, labels in loader:
        _, loss = model(input_ids, labels)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(loader):.3f} val next-char acc {next_char_accuracy(model, val_ds):.3f}")
print(complete(model, "tomorrow in ", stoi, itos))
