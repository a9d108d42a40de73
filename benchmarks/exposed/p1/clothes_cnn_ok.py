import gzip
import os
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

root = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(kind):
    with gzip.open(f"{root}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(f"{root}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(), np.uint8, offset=8).astype("int64")
    return x, y


x_train, y_train = load("train")
x_test, y_test = load("t10k")
x_train, y_train = x_train[:6000], y_train[:6000]
x_test, y_test = x_test[:2000], y_test[:2000]

# Explore data
print(y_train[12])
print(np.shape(x_train))
print(np.shape(x_test))

# Scaling data
x_train = x_train / 255
x_test = x_test / 255

# reshape the data
x_train = torch.from_numpy(x_train.reshape(-1, 1, 28, 28)).float()
x_test = torch.from_numpy(x_test.reshape(-1, 1, 28, 28)).float()
y_train = torch.from_numpy(y_train.reshape(-1)).long()
y_test = torch.from_numpy(y_test.reshape(-1)).long()

# Create a model
model = nn.Sequential(
    nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(16 * 7 * 7, 128), nn.ReLU(),
    nn.Linear(128, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
criterion = nn.CrossEntropyLoss()
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)

for epoch in range(8):
    running_loss, correct, seen = 0.0, 0, 0
    for step, (xb, yb) in enumerate(loader):
        optimizer.zero_grad()
        out = model(xb)
        loss = criterion(out, yb)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * len(xb)
        correct += (out.argmax(1) == yb).sum().item()
        seen += len(xb)
    print("Epoch %d/8 - loss: %.4f - accuracy: %.4f" % (epoch + 1, running_loss / seen, correct / seen))

model.eval()
with torch.no_grad():
    logits = torch.cat([model(x_test[i:i + 500]) for i in range(0, len(x_test), 500)])
    test_loss = criterion(logits, y_test).item()
    test_acc = (logits.argmax(1) == y_test).float().mean().item()
print("\ntest loss:", test_loss)
print("test accuracy:", test_acc)
