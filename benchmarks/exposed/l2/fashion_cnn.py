# Fashion-MNIST subset, plain CNN, learning rate lowered when validation stalls
import gzip, os, random
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
DATA = os.path.join(os.environ["DATA"], "fashion-mnist")

with gzip.open(os.path.join(DATA, "train-images-idx3-ubyte.gz")) as f:
    images = np.frombuffer(f.read(16 + 784 * 5000), np.uint8, offset=16).reshape(-1, 1, 28, 28)
with gzip.open(os.path.join(DATA, "train-labels-idx1-ubyte.gz")) as f:
    labels = np.frombuffer(f.read(8 + 5000), np.uint8, offset=8)
x = (torch.tensor(images, dtype=torch.float32) / 255 - 0.5) / 0.5
data = TensorDataset(x, torch.tensor(labels, dtype=torch.long))
train_set, val_set = random_split(data, [4000, 1000], generator=torch.Generator().manual_seed(SEED))
loaders = {"train": DataLoader(train_set, batch_size=64, shuffle=True),
           "val": DataLoader(val_set, batch_size=250)}

model = nn.Sequential(
    nn.Conv2d(1, 12, 5, stride=2, padding=2), nn.ReLU(),
    nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
    nn.Flatten(),
    nn.Linear(24 * 7 * 7, 64), nn.ReLU(),
    nn.Linear(64, 10),
)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.2, patience=1)

best = 0.0
for epoch in range(14):
    stats = {}
    for phase in ("train", "val"):
        model.train(phase == "train")
        loss_sum, hits, n = 0.0, 0, 0
        for xb, yb in loaders[phase]:
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                out = model(xb)
                loss = criterion(out, yb)
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            loss_sum += loss.item() * len(yb)
            hits += (out.argmax(1) == yb).sum().item()
            n += len(yb)
        stats[phase] = (loss_sum / n, hits / n)
    scheduler.step(stats["val"][1])
    best = max(best, stats["val"][1])
    print("Epoch %2d  train %.4f / %.3f   val %.4f / %.3f" % ((epoch,) + stats["train"] + stats["val"]))
print("Best val accuracy: %.4f" % best)
