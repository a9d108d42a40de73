import os, random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset, DataLoader
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class DigitNet(nn.Module):
    """stem + three 3x3 convs of equal width, global average pool, linear head"""

    def __init__(self, width=24, n_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        x = self.act(self.bn(self.stem(x)))
        x = x + self.act(self.bn(self.conv1(x)))
        x = F.max_pool2d(x, 2)
        x = x + self.act(self.bn(self.conv2(x)))
        x = x + self.act(self.bn(self.conv3(x)))
        x = x.mean(dim=(2, 3))
        return self.head(x)


def loaders():
    d = load_digits()
    imgs = torch.tensor(d.images / 16.0 - 0.3, dtype=torch.float32)[:, None]
    lab = torch.tensor(d.target)
    a, b = train_test_split(np.arange(len(lab)), test_size=0.25, random_state=SEED, stratify=d.target)
    return (DataLoader(TensorDataset(imgs[a], lab[a]), batch_size=32, shuffle=True, drop_last=True),
            DataLoader(TensorDataset(imgs[b], lab[b]), batch_size=150))


train_dl, test_dl = loaders()
net = DigitNet()
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
EPOCHS = 7
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=EPOCHS)

for ep in range(EPOCHS):
    net.train()
    hit = seen = 0
    run = 0.
    for xb, yb in train_dl:
        out = net(xb)
        loss = F.cross_entropy(out, yb)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        run += loss.item() * len(yb)
        hit += (out.argmax(1) == yb).sum().item()
        seen += len(yb)
    sched.step()

    net.eval()
    ok = n = 0
    with torch.no_grad():
        for xb, yb in test_dl:
            ok += (net(xb).argmax(1) == yb).sum().item()
            n += len(yb)
    print(f'{ep + 1:02d}/{EPOCHS} loss={run / seen:.4f} train_acc={hit / seen:.4f} test_acc={ok / n:.4f}')
