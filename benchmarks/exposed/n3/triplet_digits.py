import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

X, y = load_digits(return_X_y=True)
Xa, Xb, ya, yb = train_test_split((X / 16).astype("float32"), y, test_size=0.35, stratify=y, random_state=SEED)
Xa, Xb, ya, yb = map(torch.tensor, (Xa, Xb, ya, yb))


class Embed(nn.Module):
    def __init__(self, h=256, d=24):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, h), nn.BatchNorm1d(h), nn.ReLU(), nn.Linear(h, d))

    def forward(self, x):
        return F.normalize(self.net(x), dim=1)


def batch_hard(e, lab, margin=0.3):
    d = torch.cdist(e, e)
    same = lab[:, None] == lab[None, :]
    pos = (d * same).max(1).values                        # furthest of the own class
    neg = (d + 10.0 * same).min(1).values                 # nearest stranger
    return F.relu(pos - neg + margin).mean()


by_class = [torch.nonzero(ya == c).squeeze(1) for c in range(10)]
model = Embed()
opt = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
STEPS = 500
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
for step in range(1, STEPS + 1):
    idx = torch.cat([m[torch.randperm(len(m))[:8]] for m in by_class])     # P x K sampling
    x = Xa[idx] + 0.08 * torch.randn(len(idx), 64)
    loss = batch_hard(model(x), ya[idx])
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    if step % 50 == 0:
        print(f"step {step} batch-hard triplet {loss.item():.4f}")

model.eval()
with torch.no_grad():
    gallery, query = model(Xa), model(Xb)
    hit = ya[torch.cdist(query, gallery).argmin(1)] == yb
print("recall@1 of unseen digits: %.4f" % hit.float().mean().item())
