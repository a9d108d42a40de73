# Fashion-MNIST subset, bfloat16 autocast and gradient accumulation.
import gzip
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def images(name):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)


def labels(name):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int64)


pick = np.random.permutation(60000)[:5000]
x_train = torch.tensor(images("train-images-idx3-ubyte.gz")[pick] / 255.0, dtype=torch.float32)
y_train = torch.tensor(labels("train-labels-idx1-ubyte.gz")[pick])
x_test = torch.tensor(images("t10k-images-idx3-ubyte.gz")[:4000] / 255.0, dtype=torch.float32)
y_test = torch.tensor(labels("t10k-labels-idx1-ubyte.gz")[:4000])
mean, std = x_train.mean(), x_train.std()
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std

net = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(784, 192), nn.ReLU(), nn.Dropout(0.4),
                    nn.Linear(192, 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, 10))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.02)
micro, accumulate, epochs = 64, 2, 28
updates = epochs * (len(x_train) // (micro * accumulate))
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=updates)

for epoch in range(epochs):
    net.train()
    order = torch.randperm(len(x_train))[:len(x_train) // (micro * accumulate) * micro * accumulate]
    total = 0.0
    for k, j in enumerate(order.split(micro)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = net(x_train[j])
        loss = nn.functional.cross_entropy(out.float(), y_train[j])
        (loss / accumulate).backward()
        total += loss.item()
        if (k + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            scheduler.step()
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1:2d}  loss {total / (k + 1):.4f}")

net.eval()
with torch.no_grad():
    acc = (net(x_test).argmax(1) == y_test).float().mean().item()
print(f"test accuracy {acc:.4f}")
