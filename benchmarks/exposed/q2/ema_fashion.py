"""Small ConvNet with an exponential moving average of the weights."""
import copy, gzip, os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
D = os.path.join(os.environ["DATA"], "fashion-mnist")


def images(name, n):
    with gzip.open(os.path.join(D, name)) as f:
        a = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16)
    return torch.from_numpy(a.reshape(n, 1, 28, 28).astype(np.float32) / 255.0)


def labels(name, n):
    with gzip.open(os.path.join(D, name)) as f:
        return torch.from_numpy(np.frombuffer(f.read(8 + n), np.uint8, offset=8).astype(np.int64))


train_set = TensorDataset(images("train-images-idx3-ubyte.gz", 4000), labels("train-labels-idx1-ubyte.gz", 4000))
test_set = TensorDataset(images("t10k-images-idx3-ubyte.gz", 1500), labels("t10k-labels-idx1-ubyte.gz", 1500))


def conv_block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv_block(1, 12), conv_block(12, 24), conv_block(24, 32))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class ModelEMA:
    def __init__(self, model, decay=0.98):
        self.module = copy.deepcopy(model).eval()
        self.decay = decay
        for p in self.module.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for ema_p, p in zip(self.module.parameters(), model.parameters()):
            ema_p.mul_(self.decay).add_(p, alpha=1 - self.decay)


@torch.no_grad()
def evaluate(model, loader):
    correct = loss = n = 0
    for x, y in loader:
        out = model(x)
        loss += F.cross_entropy(out, y, reduction="sum").item()
        correct += (out.argmax(1) == y).sum().item()
        n += len(y)
    return loss / n, correct / n


train_loader = DataLoader(train_set, batch_size=64, shuffle=True, drop_last=True)
test_loader = DataLoader(test_set, batch_size=250)
model = ConvNet()
ema = ModelEMA(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-4)

for epoch in range(7):
    model.train()
    for x, y in train_loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update(model)
    test_loss, test_acc = evaluate(ema.module, test_loader)
    print(f"epoch {epoch}  train loss {loss.item():.3f}  test loss {test_loss:.3f}  test acc {test_acc:.3f}")
