# %% imports
import gzip
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# %% data
path = os.path.join(os.environ["DATA"], "fashion-mnist")
with gzip.open(os.path.join(path, "train-images-idx3-ubyte.gz"), "rb") as f:
    x_train = np.frombuffer(f.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28).copy()
with gzip.open(os.path.join(path, "train-labels-idx1-ubyte.gz"), "rb") as f:
    y_train = np.frombuffer(f.read(), dtype=np.uint8, offset=8).copy()
with gzip.open(os.path.join(path, "t10k-images-idx3-ubyte.gz"), "rb") as f:
    x_test = np.frombuffer(f.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28).copy()
with gzip.open(os.path.join(path, "t10k-labels-idx1-ubyte.gz"), "rb") as f:
    y_test = np.frombuffer(f.read(), dtype=np.uint8, offset=8).copy()

keep = np.random.permutation(len(x_train))[:6000]
x_train, y_train = x_train[keep], y_train[keep]

x_train //= 255
x_test //= 255

x_train = torch.tensor(x_train, dtype=torch.float32).unsqueeze(1)
x_test = torch.tensor(x_test, dtype=torch.float32).unsqueeze(1)
y_train = torch.tensor(y_train, dtype=torch.long)
y_test = torch.tensor(y_test, dtype=torch.long)
print("x_train shape:", tuple(x_train.shape))
print(len(x_train), "train samples")
print(len(x_test), "test samples")


# %% model
class LeNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, num_classes)
        self.drop = nn.Dropout(0.25)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.drop(torch.flatten(x, 1))
        x = F.relu(self.fc1(x))
        return self.fc2(x)


model = LeNet()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

# %% fit
batch_size, epochs = 64, 8
for epoch in range(1, epochs + 1):
    model.train()
    order = torch.randperm(len(x_train))
    seen, hit, loss_sum = 0, 0, 0.0
    for b in order.split(batch_size):
        out = model(x_train[b])
        loss = F.cross_entropy(out, y_train[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen += len(b)
        hit += (out.argmax(1) == y_train[b]).sum().item()
        loss_sum += loss.item() * len(b)
    print(f"Epoch {epoch}/{epochs} - loss: {loss_sum / seen:.4f} - acc: {hit / seen:.4f}")

# %% evaluate
model.eval()
with torch.no_grad():
    score = torch.cat([model(c) for c in x_test.split(1000)])
print("Test loss:", F.cross_entropy(score, y_test).item())
print("Test accuracy:", (score.argmax(1) == y_test).float().mean().item())
