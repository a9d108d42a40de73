import os, random
import numpy as np
import torch
from torch import nn, optim
import torch.nn.functional as F
from torch.utils.data import TensorDataset, DataLoader
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


class SmallCNN(nn.Module):
    def __init__(self, ch=24, n_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, ch, 3, padding=1)
        self.conv2 = nn.Conv2d(ch, 2 * ch, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(ch)
        self.bn2 = nn.BatchNorm2d(2 * ch)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(2 * ch * 4, n_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        return self.fc(self.drop(x.flatten(1)))


def loaders(batch_size=64):
    X, y = load_digits(return_X_y=True)
    X = (X / 16.0).astype("float32").reshape(-1, 1, 8, 8)
    X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.25, random_state=SEED, stratify=y)
    X_tr, X_va, y_tr, y_va = train_test_split(X_tr, y_tr, test_size=0.15, random_state=SEED, stratify=y_tr)
    make = lambda a, b, sh: DataLoader(TensorDataset(torch.tensor(a), torch.tensor(b)), batch_size=batch_size, shuffle=sh)
    return make(X_tr, y_tr, True), make(X_va, y_va, False), make(X_te, y_te, False)


def train(model, loader, opt):
    model.train()
    running = 0.0
    for xb, yb in loader:
        opt.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        opt.step()
        running += loss.item()
    return running / len(loader)


@torch.no_grad()
def test(model, loader):
    model.eval()
    right = n = 0
    loss = 0.0
    for xb, yb in loader:
        out = model(xb)
        loss += F.cross_entropy(out, yb, reduction="sum").item()
        right += (out.argmax(1) == yb).sum().item()
        n += len(yb)
    return loss / n, right / n


def main():
    set_seed(SEED)
    tr, va, te = loaders()
    model = SmallCNN()
    opt = optim.Adam(model.parameters(), lr=5e-3)
    EPOCHS = 24
    sched = optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        l = train(model, tr, opt)
        sched.step()
        vl, vacc = test(model, va)
        print(f"[{epoch:02d}] train {l:.4f} | val {vl:.4f} acc {vacc:.3f}")
    tl, tacc = test(model, te)
    print(f"test: loss {tl:.4f} accuracy {tacc:.4f}")


if __name__ == "__main__":
    main()
