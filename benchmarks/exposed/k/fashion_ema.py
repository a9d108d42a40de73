import copy, gzip, os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
ROOT = os.path.join(os.environ["DATA"], "fashion-mnist")


def load(kind, n):
    with gzip.open(f"{ROOT}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16).reshape(n, 1, 28, 28)
    with gzip.open(f"{ROOT}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    return torch.tensor(x / 255.0, dtype=torch.float32), torch.tensor(y, dtype=torch.long)


def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(block(1, 8), block(8, 16), block(16, 32))
        self.head = nn.Linear(32 * 9, 10)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class ModelEMA:
    """Keeps a moving average of the weights; evaluation uses the averaged model."""

    def __init__(self, model, decay=0.98):
        self.module = copy.deepcopy(model).eval()
        for p in self.module.parameters():
            p.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for e, p in zip(self.module.parameters(), model.parameters()):
            e.mul_(self.decay).add_(p, alpha=1 - self.decay)


def main():
    xtr, ytr = load("train", 4000)
    xte, yte = load("t10k", 2000)
    model = Net()
    ema = ModelEMA(model)
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    lossfn = nn.CrossEntropyLoss()
    for epoch in range(4):
        model.train()
        run = 0.0
        for idx in torch.randperm(len(xtr)).split(64):
            opt.zero_grad(set_to_none=True)
            loss = lossfn(model(xtr[idx]), ytr[idx])
            loss.backward()
            opt.step()
            ema.update(model)
            run += loss.item() * len(idx)
        with torch.no_grad():
            acc = np.mean([(ema.module(a).argmax(1) == b).float().mean().item()
                           for a, b in zip(xte.split(500), yte.split(500))])
        print(f"[{epoch}] train loss {run / len(xtr):.4f}   test acc {acc:.4f}")


if __name__ == "__main__":
    main()
