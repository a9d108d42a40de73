import argparse, gzip, os, random
import numpy as np
import torch
from torch import nn

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=8)
ap.add_argument("--lr", type=float, default=1e-3)
ap.add_argument("--hidden", type=int, default=64)
ap.add_argument("--depth", type=int, default=3)
ap.add_argument("--bs", type=int, default=100)
args = ap.parse_args()

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def read(name, off):
    path = os.path.join(os.environ["DATA"], "fashion-mnist", name)
    with gzip.open(path, "rb") as fh:
        return np.frombuffer(fh.read(), dtype=np.uint8, offset=off)


Xtr = torch.tensor(read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:15000] / 255.0, dtype=torch.float32)
ytr = torch.tensor(read("train-labels-idx1-ubyte.gz", 8)[:15000].astype(int))
Xte = torch.tensor(read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:5000] / 255.0, dtype=torch.float32)
yte = torch.tensor(read("t10k-labels-idx1-ubyte.gz", 8)[:5000].astype(int))
mean, std = Xtr.mean(), Xtr.std()
Xtr, Xte = (Xtr - mean) / std, (Xte - mean) / std


class MLP(nn.Module):
    """Fully connected network with a configurable number of hidden layers."""

    def __init__(self, n_in, n_hidden, depth, n_out):
        super().__init__()
        sizes = [n_in] + [n_hidden] * depth
        self.hidden = [nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])]
        self.act = nn.ReLU()
        self.out = nn.Linear(n_hidden, n_out)

    def forward(self, x):
        for layer in self.hidden:
            x = self.act(layer(x))
        return self.out(x)


net = MLP(784, args.hidden, args.depth, 10)
crit = nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=args.lr)

for ep in range(args.epochs):
    perm = torch.randperm(len(Xtr))
    tl, tc = 0.0, 0
    for i in range(0, len(perm), args.bs):
        j = perm[i:i + args.bs]
        logits = net(Xtr[j])
        loss = crit(logits, ytr[j])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tl += loss.item() * len(j)
        tc += (logits.argmax(1) == ytr[j]).sum().item()
    print(f"[{ep + 1}/{args.epochs}] loss={tl / len(Xtr):.4f} acc={tc / len(Xtr):.4f}")

with torch.no_grad():
    acc = (net(Xte).argmax(1) == yte).float().mean().item()
print(f"test accuracy: {acc:.4f}")
