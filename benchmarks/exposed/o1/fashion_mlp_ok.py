import gzip
import os
import random

import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

folder = os.path.join(os.environ["DATA"], "fashion-mnist")


def read_idx(name, skip):
    with gzip.open(os.path.join(folder, name), "rb") as f:
        return np.frombuffer(f.read(), dtype=np.uint8, offset=skip)


def load_data(n_train=5000, n_test=3000):
    out = []
    for part, n in (("train", n_train), ("t10k", n_test)):
        img = read_idx(part + "-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:n]
        lab = read_idx(part + "-labels-idx1-ubyte.gz", 8)[:n]
        out.append(torch.tensor(img / 255.0, dtype=torch.float32))
        out.append(torch.tensor(lab, dtype=torch.long))
    return out


train_images, train_labels, test_images, test_labels = load_data()

DROP = 0.1
model = nn.Sequential(
    nn.Linear(784, 128), nn.ReLU(), nn.Dropout(DROP),
    nn.Linear(128, 64), nn.ReLU(), nn.Dropout(DROP),
    nn.Linear(64, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()

BATCH, EPOCHS = 64, 12
for epoch in range(EPOCHS):
    model.train()
    order = torch.randperm(len(train_images))
    run_loss = right = 0
    for start in range(0, len(order), BATCH):
        idx = order[start:start + BATCH]
        logits = model(train_images[idx])
        loss = criterion(logits, train_labels[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run_loss += loss.item() * len(idx)
        right += (logits.argmax(1) == train_labels[idx]).sum().item()
    print("Epoch %d/%d - loss: %.4f - accuracy: %.4f" % (epoch + 1, EPOCHS, run_loss / len(order), right / len(order)))

model.eval()
with torch.no_grad():
    test_acc = (model(test_images).argmax(1) == test_labels).float().mean().item()
print("Test accuracy: %.4f" % test_acc)
