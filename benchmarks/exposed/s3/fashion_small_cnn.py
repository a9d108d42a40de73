import gzip, os, random, time
import numpy as np
import torch
import torch.nn as nn

seed = int(os.environ.get("SEED", "0"))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

N_TRAIN, N_TEST = 8000, 3000
EPOCHS = 8
PEAK_LR = 0.01
C = 8


def idx(name):
    with gzip.open(os.path.join(os.environ["DATA"], "fashion-mnist", name)) as fh:
        raw = fh.read()
    if "images" in name:
        return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return np.frombuffer(raw, np.uint8, offset=8)


pick = np.random.permutation(60000)[:N_TRAIN]
xtr = torch.tensor(idx("train-images-idx3-ubyte.gz")[pick]).float().div_(255).sub_(0.286).div_(0.353)
ytr = torch.tensor(idx("train-labels-idx1-ubyte.gz")[pick]).long()
xte = torch.tensor(idx("t10k-images-idx3-ubyte.gz")[:N_TEST]).float().div_(255).sub_(0.286).div_(0.353)
yte = torch.tensor(idx("t10k-labels-idx1-ubyte.gz")[:N_TEST]).long()


def block(i, o, stride):
    return [nn.Conv2d(i, o, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]


net = nn.Sequential(
    *block(1, C, 2),
    *block(C, 2 * C, 2),
    *block(2 * C, 4 * C, 1),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.Flatten(),
    nn.Linear(64 * C, 10),
)
bs = 100
opt = torch.optim.AdamW(net.parameters(), lr=PEAK_LR, weight_decay=0.02)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=PEAK_LR, total_steps=EPOCHS * (N_TRAIN // bs))
ce = nn.CrossEntropyLoss(label_smoothing=0.05)

t0 = time.time()
for ep in range(1, EPOCHS + 1):
    net.train()
    run = 0.0
    for b in torch.randperm(N_TRAIN).view(-1, bs):
        x = xtr[b]
        flip = torch.rand(bs) < 0.5
        x[flip] = x[flip].flip(-1)          # shirts have no handedness
        out = net(x)
        loss = ce(out, ytr[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        run += loss.item()
    net.eval()
    with torch.no_grad():
        hit = sum((net(xb).argmax(1) == yb).sum().item() for xb, yb in zip(xte.split(500), yte.split(500)))
    print(f"[{time.time() - t0:5.1f}s] epoch {ep}: loss {run / (N_TRAIN // bs):.3f}  test acc {hit / N_TEST:.4f}")
