import os
import numpy as np
import torch
from torch import nn
from sklearn.datasets import make_friedman1

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# 480 field plots: soil and weather readings, measured yield
readings, target = make_friedman1(n_samples=480, n_features=7, noise=1.0, random_state=SEED)
perm = np.random.permutation(len(target))
te, tr = perm[:120], perm[120:]
mx, sx = readings[tr].mean(0), readings[tr].std(0)
my, sy = target[tr].mean(), target[tr].std()
x = torch.tensor((readings - mx) / sx, dtype=torch.float32)
t = torch.tensor((target - my) / sy, dtype=torch.float32)


def member(rows, oob, max_epochs=150, patience=30):
    net = nn.Sequential(nn.Linear(x.shape[1], 96), nn.Tanh(), nn.Linear(96, 1))
    opt = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-3)
    best, wait, keep = np.inf, 0, None
    for epoch in range(max_epochs):
        net.train()
        for b in torch.tensor(rows)[torch.randperm(len(rows))].split(32):
            loss = nn.functional.mse_loss(net(x[b]).squeeze(1), t[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
        net.eval()
        with torch.no_grad():
            v = nn.functional.mse_loss(net(x[oob]).squeeze(1), t[oob]).item()
        if v < best:
            best, wait, keep = v, 0, [p.detach().clone() for p in net.parameters()]
        else:
            wait += 1
            if wait > patience:
                break
    with torch.no_grad():
        for p, q in zip(net.parameters(), keep):
            p.copy_(q)
        print(f"  stopped after {epoch + 1} epochs, out-of-bag mse {best:.3f}")
        return net(x[te]).squeeze(1).numpy()


preds = []
for m in range(6):
    print("member", m)
    boot = np.random.choice(tr, len(tr))
    preds.append(member(boot, np.setdiff1d(tr, boot)))
p = np.mean(preds, axis=0) * sy + my
r2 = 1 - ((p - target[te]) ** 2).sum() / ((target[te] - target[te].mean()) ** 2).sum()
print(f"ensemble test R2 {r2:.4f}")
