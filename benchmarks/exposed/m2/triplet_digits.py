import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

d = load_digits()
X = torch.tensor(d.images, dtype=torch.float32)[:, None] / 8.0 - 1.0
y = torch.tensor(d.target)
perm = torch.randperm(len(X))
tr, te = perm[:1200], perm[1200:]
by_class = [tr[y[tr] == c] for c in range(10)]


class Embed(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Linear(64 * 4, dim)

    def forward(self, x):
        return F.normalize(self.fc(self.conv(x).flatten(1)), dim=1)


def pk_batch(k=8):
    idx = torch.cat([pool[torch.randperm(len(pool))[:k]] for pool in by_class])
    return X[idx], y[idx]


def batch_semi_hard(e, lab, margin=0.3):
    dist = (2 - 2 * e @ e.t()).clamp_min(1e-8).sqrt()
    same = lab[:, None] == lab[None]
    eye = torch.eye(len(lab), dtype=torch.bool)
    ap = dist[:, :, None]
    an = dist[:, None, :]
    valid = (same & ~eye)[:, :, None] & (~same)[:, None, :]
    loss = F.relu(ap - an + margin)[valid]
    active = loss > 0
    return loss.sum() / active.sum().clamp_min(1), active.float().mean().item()


net = Embed()
opt = torch.optim.Adam(net.parameters(), lr=1.5e-3)
STEPS = 400
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
for step in range(1, STEPS + 1):
    xb, yb = pk_batch()
    # a little shift of the pictures
    xb = torch.roll(F.pad(xb, (1, 1, 1, 1), value=-1.0), (random.randint(-1, 1), random.randint(-1, 1)), (2, 3))[:, :, 1:-1, 1:-1]
    loss, active = batch_semi_hard(net(xb), yb)
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    if step % 50 == 0:
        print(f"step {step} loss over active triplets {loss.item():.4f} active share {active:.4f}")

net.eval()
with torch.no_grad():
    E = net(X).numpy()
knn = KNeighborsClassifier(5).fit(E[tr], y[tr])
print(f"5-NN accuracy in the embedding: {knn.score(E[te], y[te]):.4f}")
