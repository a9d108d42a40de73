import gzip
import os
import numpy as np
import torch
import torch.nn as nn
from torch.optim.lr_scheduler import LambdaLR

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
np.random.seed(SEED)
root = os.path.join(os.environ["DATA"], "fashion-mnist")


def read(kind, n):
    with gzip.open(f"{root}/{kind}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + 784 * n), np.uint8, offset=16).reshape(n, 1, 28, 28)
    with gzip.open(f"{root}/{kind}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
    x = torch.tensor(x.astype(np.float32) / 255)
    return (x - 0.286) / 0.353, torch.tensor(y.astype(np.int64))


cfg = dict(n_train=4000, n_test=2000, epochs=8, batch_size=50, max_lr=0.1, warmup=100)

x_train, y_train = read("train", cfg["n_train"])
x_test, y_test = read("t10k", cfg["n_test"])

net = nn.Sequential(
    nn.Conv2d(1, 12, 5, stride=2, padding=2), nn.ReLU(),
    nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
    nn.Flatten(),
    nn.Linear(24 * 7 * 7, 64), nn.ReLU(),
    nn.Linear(64, 10),
)
steps_per_epoch = cfg["n_train"] // cfg["batch_size"]
total = cfg["epochs"] * steps_per_epoch


def lr_lambda(step):
    # linear warmup, then linear decay to zero
    if step < cfg["warmup"]:
        return (step + 1) / cfg["warmup"]
    return max(0.0, (total - step) / (total - cfg["warmup"]))


opt = torch.optim.SGD(net.parameters(), lr=cfg["max_lr"], momentum=0.5)
sched = LambdaLR(opt, lr_lambda)
ce = nn.CrossEntropyLoss()

for ep in range(cfg["epochs"]):
    net.train()
    perm = torch.randperm(cfg["n_train"])
    ep_loss = 0.0
    for i in range(steps_per_epoch):
        sel = perm[i * cfg["batch_size"]:(i + 1) * cfg["batch_size"]]
        loss = ce(net(x_train[sel]), y_train[sel])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        ep_loss += loss.item()
    sched.step()
    net.eval()
    with torch.no_grad():
        acc = (net(x_test).argmax(1) == y_test).float().mean().item()
    print(f"epoch {ep + 1}/{cfg['epochs']}  loss {ep_loss / steps_per_epoch:.4f}  test acc {acc:.4f}")
