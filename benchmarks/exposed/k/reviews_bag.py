"""Sentiment of short product reviews with an EmbeddingBag (after the torchtext tutorial)."""
import os, random, re
from collections import Counter
import numpy as np, torch
from torch import nn
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

GOOD = "great excellent solid lovely perfect reliable quick sturdy comfy bright superb handy smooth crisp".split()
BAD = "awful broken flimsy noisy useless slow dull cheap faulty ugly weak sticky late cracked".split()
THINGS = "phone kettle lamp chair cable bag watch shirt speaker toaster pillow mouse keyboard tent".split()
FILL = "i bought this for my sister and the it was really quite just delivery came box on monday we use every day at home".split()

def write_review():
    label = random.random() < 0.5
    words = [random.choice(THINGS)] + random.choices(FILL, k=random.randint(6, 18))
    for _ in range(random.randint(1, 4)):
        own = random.random() < 0.82
        words.append(random.choice(GOOD if own == label else BAD))
    random.shuffle(words)
    return " ".join(words) + random.choice([".", "!", " ."]), int(label)

reviews = [write_review() for _ in range(6000)]
train_iter, valid_iter, test_iter = reviews[:4000], reviews[4000:4500], reviews[4500:]
tokenizer = lambda s: re.findall(r"[a-z]+", s.lower())
counts = Counter(w for text, _ in train_iter for w in tokenizer(text))
vocab = {"<unk>": 0, **{w: i + 1 for i, (w, _) in enumerate(counts.most_common())}}

def collate_batch(batch):
    labels = torch.tensor([l for _, l in batch])
    ids = [torch.tensor([vocab.get(w, 0) for w in tokenizer(t)]) for t, _ in batch]
    offsets = torch.tensor([0] + [len(i) for i in ids[:-1]]).cumsum(0)
    return labels, torch.cat(ids), offsets

class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, mode="mean")
        self.fc = nn.Linear(embed_dim, num_class)
        self.embedding.weight.data.uniform_(-0.5, 0.5)
        self.fc.bias.data.zero_()

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))

model = TextClassificationModel(len(vocab), 16, 2)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.3)

def evaluate(data):
    model.eval()
    ok = 0
    with torch.no_grad():
        for label, text, offsets in DataLoader(data, batch_size=256, collate_fn=collate_batch):
            ok += (model(text, offsets).argmax(1) == label).sum().item()
    return ok / len(data)

for epoch in range(1, 13):
    model.train()
    run = 0.0
    for label, text, offsets in DataLoader(train_iter, batch_size=64, shuffle=True, collate_fn=collate_batch):
        optimizer.zero_grad()
        loss = criterion(model(text, offsets), label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        run += loss.item() * len(label)
    scheduler.step()
    print(f"| epoch {epoch:2d} | loss {run / len(train_iter):.4f} | valid accuracy {evaluate(valid_iter):.3f}")
print("test accuracy {:.4f}".format(evaluate(test_iter)))
