"""Twenty plain layers: SELU with LeCun-normal weights keeps the signal alive without norm layers or skips."""
import os, random, math
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

X, y = load_breast_cancer(return_X_y=True)
X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.4, stratify=y, random_state=SEED)
mu, sd = X_tr.mean(0), X_tr.std(0)
to = lambda a: torch.tensor((a - mu) / sd, dtype=torch.float32)
X_tr, X_te = to(X_tr), to(X_te)
y_tr, y_te = torch.tensor(y_tr), torch.tensor(y_te)

DEPTH, WIDTH = 20, 48
layers, w = [], X.shape[1]
for _ in range(DEPTH):
    layers += [nn.Linear(w, WIDTH), nn.SELU()]
    w = WIDTH
layers += [nn.AlphaDropout(0.05), nn.Linear(w, 2)]
net = nn.Sequential(*layers)
for m in net:
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0, 1 / math.sqrt(m.in_features))
        nn.init.zeros_(m.bias)

with torch.no_grad():
    h, sds = X_tr, []
    for m in net:
        h = m(h)
        if isinstance(m, nn.SELU):
            sds.append(round(h.std().item(), 2))
print("activation std by depth", sds[::4])

loader = DataLoader(TensorDataset(X_tr, y_tr), batch_size=32, shuffle=True)
EPOCHS = 30
opt = torch.optim.AdamW(net.parameters(), lr=9e-4, weight_decay=0.1)
total, warm = EPOCHS * len(loader), 30
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min((s + 1) / warm, 0.5 * (1 + math.cos(math.pi * s / total))))
for epoch in range(EPOCHS):
    net.train()
    s = 0
    for xb, yb in loader:
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(xb), yb, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step(); sched.step()
        s += loss.item() * len(yb)
    if epoch % 5 == 4:
        net.eval()
        with torch.no_grad():
            acc = (net(X_te).argmax(1) == y_te).float().mean().item()
        print(f"epoch {epoch + 1} smoothed loss {s / len(y_tr):.4f} test accuracy {acc:.4f}")
