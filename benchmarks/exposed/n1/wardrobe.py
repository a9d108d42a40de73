import gzip
import os
import random
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
FOLDER = Path(os.environ["DATA"]) / "fashion-mnist"


class Clothing(Dataset):
    def __init__(self, split, limit):
        with gzip.open(FOLDER / f"{split}-images-idx3-ubyte.gz") as f:
            images = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28 * 28)[:limit]
        with gzip.open(FOLDER / f"{split}-labels-idx1-ubyte.gz") as f:
            self.labels = np.frombuffer(f.read(), np.uint8, offset=8)[:limit].astype(np.int64)
        self.images = np.zeros(images.shape, dtype=np.uint8)
        self.images[:] = images / 255

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        return torch.from_numpy(self.images[idx]).float(), self.labels[idx]


train = DataLoader(Clothing("train", 8000), batch_size=50, shuffle=True)
test = DataLoader(Clothing("t10k", 4000), batch_size=200)

model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)

for epoch in range(1, 13):
    model.train()
    running, seen = 0.0, 0
    for images, labels in train:
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item() * len(labels)
        seen += len(labels)
    print(f"Epoch {epoch}: train loss {running / seen:.4f}")

model.eval()
correct = 0
with torch.no_grad():
    for images, labels in test:
        correct += (model(images).argmax(1) == labels).sum().item()
print(f"test accuracy: {correct / len(test.dataset):.4f}")
