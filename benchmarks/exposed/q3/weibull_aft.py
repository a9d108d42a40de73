# Time to failure of pumps, right-censored: Weibull regression with a small network for scale and shape.
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def sample(n):
    load = np.random.uniform(0.2, 1.0, n)
    temp = np.random.normal(60, 12, n)
    vib = np.random.lognormal(0, 0.4, n)
    old = np.random.binomial(1, 0.35, n)
    scale = 2200 * np.exp(-1.1 * load ** 2 - 0.02 * np.maximum(temp - 60, 0) - 0.35 * vib - 0.25 * old * load)
    shape = np.where(old == 1, 1.2, 1.9)
    t = scale * np.random.weibull(shape)
    c = np.random.uniform(50, 1800, n)
    return np.stack([load, temp, vib, old], 1), np.minimum(t, c), (t <= c).astype(float)


x_tr, t_tr, d_tr = sample(3000)
x_te, t_te, d_te = sample(3000)
print("censored share: %.2f" % (1 - d_tr.mean()))

mean, sd = x_tr.mean(0), x_tr.std(0)
unit = np.median(t_tr)
prep = lambda x: torch.tensor((x - mean) / sd, dtype=torch.float32)
tens = lambda a: torch.tensor(a, dtype=torch.float32)


class Weibull(nn.Module):
    def __init__(self, d=4, h=16):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(d, h), nn.Softplus(), nn.Linear(h, h), nn.Softplus())
        self.head = nn.Linear(h, 2)

    def forward(self, x):
        a, b = self.head(self.trunk(x)).unbind(1)
        return a, F.softplus(b + 0.54)          # log scale, shape


def nll(model, x, t, d):
    log_scale, k = model(x)
    z = k * (t.log() - log_scale)
    log_hazard = k.log() - t.log() + z
    return -(d * log_hazard - z.exp()).mean()


def concordance(risk, t, d):
    num = den = 0.0
    for i in np.flatnonzero(d):
        later = t > t[i]
        num += (risk[i] > risk[later]).sum()
        den += later.sum()
    return num / den


model = Weibull()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
X, T, D = prep(x_tr), tens(t_tr / unit), tens(d_tr)
steps, batch = 1500, 256
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
for it in range(1, steps + 1):
    j = torch.randint(len(X), (batch,))
    loss = nll(model, X[j], T[j], D[j])
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    opt.step()
    sched.step()
    if it % 250 == 0:
        with torch.no_grad():
            print(f"{it:5d}  nll {nll(model, X, T, D).item():.4f}")

with torch.no_grad():
    Xe = prep(x_te)
    log_scale, k = model(Xe)
    print("c-index %.4f" % concordance(-log_scale.numpy(), t_te, d_te))
    print("held-out nll %.4f" % nll(model, Xe, tens(t_te / unit), tens(d_te)).item())
