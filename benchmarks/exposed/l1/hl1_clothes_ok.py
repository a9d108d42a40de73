# beginner's classifier: one hidden layer, pictures of clothes
import gzip, os
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader, random_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

def read(name, skip):
    path = os.path.join(os.environ["DATA"], "fashion-mnist", name)
    return np.frombuffer(gzip.open(path).read(), dtype=np.uint8, offset=skip)

X_train = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:12000].astype("float32") / 255
y_train = read("train-labels-idx1-ubyte.gz", 8)[:12000]
X_test = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784).astype("float32") / 255
y_test = read("t10k-labels-idx1-ubyte.gz", 8)

input_nodes = 784
hl1_nodes = 64
output_nodes = 10

model = nn.Sequential(
    nn.Linear(input_nodes, hl1_nodes),
    nn.ReLU(),
    nn.Linear(hl1_nodes, output_nodes),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())

full = TensorDataset(torch.from_numpy(X_train), torch.from_numpy(y_train.astype("int64")))
n_val = int(len(full) * 0.33)
train_set, val_set = random_split(full, [len(full) - n_val, n_val])
train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
val_loader = DataLoader(val_set, batch_size=500)

def predict(x):
    return model(x).argmax(1)

def evaluate(loader):
    loss, hits, n = 0.0, 0, 0
    with torch.no_grad():
        for xb, yb in loader:
            loss += criterion(model(xb), yb).item() * len(xb)
            hits += (predict(xb) == yb).sum().item()
            n += len(xb)
    return loss / n, hits / n

print(f"Train on {len(train_set)} samples, validate on {len(val_set)} samples")
for epoch in range(10):
    tot = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        tot += loss.item() * len(xb)
    vl, va = evaluate(val_loader)
    print(f"Epoch {epoch + 1}/10 - loss: {tot / len(train_set):.4f} - val_loss: {vl:.4f} - val_acc: {va:.4f}")

test = DataLoader(TensorDataset(torch.from_numpy(X_test), torch.from_numpy(y_test.astype("int64"))), batch_size=500)
print("test loss, test acc:", evaluate(test))
