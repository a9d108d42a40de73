# Text classification with an embedding bag (after the PyTorch text tutorial), four topics
import os
import random
import time
import torch
from torch import nn
from torch.utils.data import DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
torch.manual_seed(SEED)

VOCAB, TOPICS = 3000, 4
topic_words = [random.sample(range(VOCAB), 250) for _ in range(TOPICS)]
zipf = [1.0 / (r + 3) for r in range(VOCAB)]


def make_doc(label):
    n = random.randint(8, 30)
    common = random.choices(range(VOCAB), weights=zipf, k=n)
    out = []
    for w in common:
        u = random.random()
        if u < 0.16:
            w = random.choice(topic_words[label])
        elif u < 0.30:
            w = random.choice(topic_words[random.randrange(TOPICS)])
        out.append("w%d" % w)
    return label, " ".join(out)


docs = [make_doc(random.randrange(TOPICS)) for _ in range(9000)]
train_docs, valid_docs, test_docs = docs[:6000], docs[6000:7000], docs[7000:]

vocab = {"<unk>": 0}
for _, text in train_docs:
    for tok in text.split():
        vocab.setdefault(tok, len(vocab))


def collate_batch(batch):
    labels, texts, offsets = [], [], [0]
    for label, text in batch:
        labels.append(label)
        ids = torch.tensor([vocab.get(t, 0) for t in text.split()])
        texts.append(ids)
        offsets.append(len(ids))
    return torch.tensor(labels), torch.cat(texts), torch.tensor(offsets[:-1]).cumsum(0)


class TextClassificationModel(nn.Module):
    def __init__(self, vocab_size, embed_dim, num_class):
        super().__init__()
        self.embedding = nn.EmbeddingBag(vocab_size, embed_dim, mode="mean")
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(embed_dim, num_class)
        nn.init.uniform_(self.embedding.weight, -0.5, 0.5)

    def forward(self, text, offsets):
        return self.fc(self.dropout(self.embedding(text, offsets)))


def evaluate(dataloader):
    model.eval()
    acc, count = 0, 0
    with torch.no_grad():
        for label, text, offsets in dataloader:
            acc += (model(text, offsets).argmax(1) == label).sum().item()
            count += len(label)
    return acc / count


EPOCHS, LR, BATCH = 10, 3e-3, 64
train_dl = DataLoader(train_docs, batch_size=BATCH, shuffle=True, collate_fn=collate_batch)
valid_dl = DataLoader(valid_docs, batch_size=256, collate_fn=collate_batch)
test_dl = DataLoader(test_docs, batch_size=256, collate_fn=collate_batch)

model = TextClassificationModel(len(vocab), 64, TOPICS)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.3)
best_acc, best_state = 0.0, None
for epoch in range(1, EPOCHS + 1):
    t0 = time.time()
    model.train()
    total = 0.0
    for label, text, offsets in train_dl:
        optimizer.zero_grad()
        loss = criterion(model(text, offsets), label)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        total += loss.item()
    acc = evaluate(valid_dl)
    if acc > best_acc:
        best_acc, best_state = acc, {k: v.clone() for k, v in model.state_dict().items()}
    print(f"| epoch {epoch:2d} | {time.time() - t0:4.1f}s | loss {total / len(train_dl):.3f} | valid accuracy {acc:.3f}")

model.load_state_dict(best_state)
print(f"test accuracy {evaluate(test_dl):.4f}")
