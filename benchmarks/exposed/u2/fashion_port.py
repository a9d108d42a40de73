# small all-conv net for Fashion-MNIST, accuracy reported garment by garment
import gzip, os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from pathlib import Path

seed = int(os.getenv("SEED", "0"))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
root = Path(os.environ["DATA"]) / "fashion-mnist"


def idx(name, offset):
    with gzip.open(root / name) as fh:
        return np.frombuffer(fh.read(), np.uint8, offset=offset)


x_train = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
y_train = idx("train-labels-idx1-ubyte.gz", 8)
x_test = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:2000]
y_test = idx("t10k-labels-idx1-ubyte.gz", 8)[:2000]
pick = np.random.permutation(60000)[:4005]
x_train = torch.from_numpy(x_train[pick] / np.float32(255))
y_train = torch.from_numpy(y_train[pick].astype(np.int64))
x_test = torch.from_numpy(x_test / np.float32(255))
y_test = torch.from_numpy(y_test.astype(np.int64))


def block(cin, cout, stride):
    return nn.Sequential(
        nn.Conv2d(cin, cout, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


model = nn.Sequential(
    block(1, 12, 2),
    block(12, 24, 2),
    block(24, 48, 2),
    block(48, 64, 2),
    nn.Flatten(),
    nn.Dropout(0.25),
    nn.Linear(64 * 4, 10),
)

epochs, bs = 6, 20
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=epochs)


NAMES = "T-shirt Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Boot".split()


@torch.no_grad()
def report():
    hits = 0
    for k, name in enumerate(NAMES):
        imgs = x_test[y_test == k]
        good = (model(imgs).argmax(1) == k).sum().item()
        hits += good
        print(f"  {name:9s} {good / len(imgs):.3f}")
    return hits / len(y_test)


for epoch in range(epochs):
    model.train()
    perm = torch.randperm(len(x_train))
    losses, right = [], 0
    for i in range(0, len(perm), bs):
        j = perm[i:i + bs]
        out = model(x_train[j])
        loss = F.cross_entropy(out, y_train[j])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        right += (out.argmax(1) == y_train[j]).sum().item()
    scheduler.step()
    print(f"Epoch {epoch + 1}/{epochs} - loss: {np.mean(losses):.4f} - acc: {right / len(perm):.4f}")

print("test accuracy %.4f" % report())
