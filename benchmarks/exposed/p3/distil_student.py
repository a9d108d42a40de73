# Knowledge distillation: wide teacher -> small student
import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

X, y = make_classification(n_samples=9000, n_features=20, n_informative=8, n_redundant=4, n_classes=5,
                           n_clusters_per_class=2, class_sep=1.3, flip_y=0.03, random_state=SEED)
X_fit, X_test, y_fit, y_test = train_test_split(X, y, test_size=3000, random_state=SEED)
mean, std = X_fit.mean(0), X_fit.std(0)
T = lambda a: torch.tensor((a - mean) / std, dtype=torch.float32)
X_fit, X_test = T(X_fit), T(X_test)
y_fit, y_test = torch.tensor(y_fit), torch.tensor(y_test)


def mlp(width, drop):
    return nn.Sequential(nn.Linear(20, width), nn.ReLU(), nn.Dropout(drop),
                         nn.Linear(width, width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, 5))


def accuracy(net):
    net.eval()
    with torch.no_grad():
        return (net(X_test).argmax(1) == y_test).float().mean().item()


TEMP, ALPHA = 3.0, 0.7
teacher, student = mlp(256, 0.3), mlp(48, 0.0)

opt = torch.optim.Adam(teacher.parameters(), lr=1e-3)
for epoch in range(40):
    teacher.train()
    tot = 0.0
    for b in torch.randperm(len(X_fit)).split(128):
        opt.zero_grad()
        loss = F.cross_entropy(teacher(X_fit[b]), y_fit[b])
        loss.backward()
        opt.step()
        tot += loss.item() * len(b)
    if epoch % 8 == 7:
        print(f"teacher epoch {epoch + 1} loss {tot / len(X_fit):.4f}")
acc_t = accuracy(teacher)
teacher.requires_grad_(False)

opt = torch.optim.Adam(student.parameters(), lr=1e-2)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 60)
for epoch in range(60):
    student.train()
    tot = 0.0
    for b in torch.randperm(len(X_fit)).split(128):
        with torch.no_grad():
            soft = F.softmax(teacher(X_fit[b]) / TEMP, 1)
        out = student(X_fit[b])
        kd = F.kl_div(F.log_softmax(out / TEMP, 1), soft, reduction="batchmean") * TEMP ** 2
        loss = ALPHA * kd + (1 - ALPHA) * F.cross_entropy(out, y_fit[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(b)
    sched.step()
    if epoch % 10 == 9:
        print(f"student epoch {epoch + 1} loss {tot / len(X_fit):.4f}")
print(f"teacher accuracy {acc_t:.4f}  student accuracy {accuracy(student):.4f}")
