"""DeepSurv-like model: Cox partial likelihood on censored synthetic survival times."""
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

n, d = 4000, 8
X = rng.normal(size=(n, d)).astype(np.float32)
risk = 1.2 * X[:, 0] - 0.8 * X[:, 1] + 0.9 * X[:, 2] * X[:, 3] + 0.5 * (X[:, 4] ** 2 - 1)
life = rng.exponential(np.exp(-risk) * 10)
censor = rng.exponential(20, n)
time, event = np.minimum(life, censor), (life <= censor).astype(np.float32)
print(f"{event.mean():.0%} of the patients have an event")
tr, va, te = np.split(rng.permutation(n), [2500, 3000])


def cox_loss(h, t, e):
    order = torch.argsort(t, descending=True)
    h, e = h[order], e[order]
    return -((h - torch.logcumsumexp(h, 0)) * e).sum() / e.sum()


def c_index(h, t, e):
    later = t[None, :] > t[:, None]
    usable = later & (e[:, None] == 1)
    return float((usable & (h[:, None] > h[None, :])).sum() / usable.sum())


x, t, e = torch.from_numpy(X), torch.from_numpy(time), torch.from_numpy(event)
net = nn.Sequential(nn.Linear(d, 64), nn.SELU(), nn.AlphaDropout(0.05), nn.Linear(64, 32), nn.SELU(), nn.Linear(32, 1, bias=False))
opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.1)
best, keep = np.inf, None
for epoch in range(60):
    net.train()
    tot = 0
    for b in torch.from_numpy(rng.permutation(tr)).split(250):
        loss = cox_loss(net(x[b]).squeeze(1), t[b], e[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 10
    net.eval()
    with torch.no_grad():
        h = net(x).squeeze(1)
    v = cox_loss(h[va], t[va], e[va]).item()
    if v < best:
        best, keep = v, {k: p.clone() for k, p in net.state_dict().items()}
    if epoch % 6 == 0:
        print(f"epoch {epoch:2d}  partial nll {tot:.3f}  valid {v:.3f}  valid C {c_index(h[va].numpy(), time[va], event[va]):.3f}")
net.load_state_dict(keep)
net.eval()
with torch.no_grad():
    h = net(x[te]).squeeze(1).numpy()
print(f"test concordance {c_index(h, time[te], event[te]):.4f}")
