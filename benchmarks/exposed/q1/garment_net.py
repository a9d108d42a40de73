"""Fashion images, conv net with batch norm.  python garment_net.py --epochs 10"""
import argparse, gzip, os, random
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--lr", type=float, default=5e-3)
parser.add_argument("--bn-decay", type=float, default=0.999)
parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 0)))
args = parser.parse_args()
random.seed(args.seed); np.random.seed(args.seed); torch.manual_seed(args.seed)


class Fashion(Dataset):
    def __init__(self, kind, start, n):
        base = os.path.join(os.environ["DATA"], "fashion-mnist", kind)
        with gzip.open(base + "-images-idx3-ubyte.gz") as f:
            x = np.frombuffer(f.read(16 + (start + n) * 784), np.uint8, offset=16).reshape(-1, 28, 28)
        with gzip.open(base + "-labels-idx1-ubyte.gz") as f:
            y = np.frombuffer(f.read(), np.uint8, offset=8)
        self.x, self.y = x[start:start + n].astype(np.float32) / 255.0, y[start:start + n].astype(np.int64)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return torch.from_numpy(self.x[i]).unsqueeze(0), int(self.y[i])


class ConvBN(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=1 - args.bn_decay)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(ConvBN(1, 16, 2), ConvBN(16, 24, 1), ConvBN(24, 32, 2))
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(32 * 4, 10)

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


def run_epoch(model, loader, loss_fn, opt=None):
    model.train(opt is not None)
    total, correct, n = 0.0, 0, 0
    with torch.set_grad_enabled(opt is not None):
        for x, y in loader:
            out = model(x)
            loss = loss_fn(out, y)
            if opt is not None:
                opt.zero_grad()
                loss.backward()
                opt.step()
            total += loss.item() * len(y)
            correct += (out.argmax(1) == y).sum().item()
            n += len(y)
    return total / n, correct / n


train_dl = DataLoader(Fashion("train", 0, 5000), batch_size=args.batch_size, shuffle=True)
val_dl = DataLoader(Fashion("train", 5000, 1000), batch_size=250)
test_dl = DataLoader(Fashion("t10k", 0, 2500), batch_size=250)
model = Net()
loss_fn = nn.CrossEntropyLoss()
opt = torch.optim.Adam(model.parameters(), lr=args.lr)
for epoch in range(args.epochs):
    tr = run_epoch(model, train_dl, loss_fn, opt)
    va = run_epoch(model, val_dl, loss_fn)
    print("[%d] loss %.3f acc %.3f | val loss %.3f acc %.3f" % (epoch + 1, *tr, *va))
print("test accuracy %.4f" % run_epoch(model, test_dl, loss_fn)[1])
