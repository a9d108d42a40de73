# Jobs on our cluster are killed after a while, so training is done in parts:
# every part loads the last checkpoint and goes on.
import gzip, os, random, tempfile

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

N = 2500
root = os.path.join(os.environ["DATA"], "fashion-mnist")
img = np.frombuffer(gzip.open(f"{root}/train-images-idx3-ubyte.gz").read(16 + N * 784), dtype=np.uint8, offset=16)
lab = np.frombuffer(gzip.open(f"{root}/train-labels-idx1-ubyte.gz").read(8 + N), dtype=np.uint8, offset=8)
full = TensorDataset(torch.tensor(img.reshape(N, 784) / 127.5 - 1, dtype=torch.float32), torch.tensor(lab, dtype=torch.long))


def loaders():
    n_val = N // 5
    train, val = random_split(full, [N - n_val, n_val])
    return DataLoader(train, batch_size=50, shuffle=True), DataLoader(val, batch_size=250)


def build():
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return net, torch.optim.Adam(net.parameters(), lr=1e-3)


def job(ckpt, epochs):
    net, opt = build()
    start = 0
    if os.path.exists(ckpt):
        state = torch.load(ckpt)
        net.load_state_dict(state["net"])
        opt.load_state_dict(state["opt"])
        start = state["epoch"]
        print("resumed at epoch", start)
    train_dl, val_dl = loaders()
    lossf = nn.CrossEntropyLoss()
    for epoch in range(start, start + epochs):
        net.train()
        total = 0.0
        for x, y in train_dl:
            opt.zero_grad()
            loss = lossf(net(x), y)
            loss.backward()
            opt.step()
            total += loss.item()
        net.eval()
        with torch.no_grad():
            right = sum((net(x).argmax(1) == y).sum().item() for x, y in val_dl)
        print(f"epoch {epoch} train loss {total / len(train_dl):.4f} val acc {right / (N // 5):.4f}")
    torch.save({"net": net.state_dict(), "opt": opt.state_dict(), "epoch": start + epochs}, ckpt)


with tempfile.TemporaryDirectory() as tmp:
    path = os.path.join(tmp, "last.pt")
    for part in range(4):
        job(path, epochs=5)
