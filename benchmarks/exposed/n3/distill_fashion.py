import argparse, gzip, os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

# Knowledge distillation: conv teacher -> 24-unit student, soft targets at temperature 4.
parser = argparse.ArgumentParser()
parser.add_argument("--T", type=float, default=4.0)
parser.add_argument("--alpha", type=float, default=0.9)
parser.add_argument("--student-epochs", type=int, default=40)
parser.add_argument("--student-lr", type=float, default=1e-2)
cfg = parser.parse_args()
SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def read(name, off):
    path = os.path.join(os.environ["DATA"], "fashion-mnist", name)
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=off)


img = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
lab = torch.tensor(read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64))
img = F.avg_pool2d(torch.tensor(img / 255.0, dtype=torch.float32), 2)
img = (img - img[:6000].mean()) / img[:6000].std()
order = torch.randperm(10000)
tr, te = order[:6000], order[6000:]


def epochs_of(n, bs):
    for e in range(n):
        for b in tr[torch.randperm(len(tr))].split(bs):
            yield e, b


def accuracy(net):
    net.eval()
    with torch.no_grad():
        return (net(img[te]).argmax(1) == lab[te]).float().mean().item()


teacher = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Flatten(), nn.Dropout(0.4), nn.Linear(32 * 25, 10))
opt = torch.optim.AdamW(teacher.parameters(), lr=4e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 4e-3, total_steps=16 * 94)
teacher.train()
for e, b in epochs_of(16, 64):
    loss = F.cross_entropy(teacher(img[b]), lab[b])
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
print("teacher", accuracy(teacher))
with torch.no_grad():
    soft = F.softmax(teacher(img) / cfg.T, 1)

student = nn.Sequential(nn.Flatten(), nn.Linear(196, 24), nn.ReLU(), nn.Linear(24, 10))
opt = torch.optim.Adam(student.parameters(), lr=cfg.student_lr)
total = cfg.student_epochs * -(-len(tr) // 64)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, cfg.student_lr, total_steps=total)
last, kd_sum = 0, 0.0
for e, b in epochs_of(cfg.student_epochs, 64):
    if e != last:
        if e % 5 == 0:
            print(f"student epoch {e}  kd {kd_sum:.3f}")
        last, kd_sum = e, 0.0
    z = student(img[b])
    kd = F.kl_div(F.log_softmax(z / cfg.T, 1), soft[b], reduction="batchmean") * cfg.T ** 2
    loss = cfg.alpha * kd + (1 - cfg.alpha) * F.cross_entropy(z, lab[b])
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    kd_sum += kd.item()
print("student test accuracy", round(accuracy(student), 4))
