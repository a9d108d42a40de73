"""Neural Cox proportional hazards on a simulated two-arm trial (right-censored)."""
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

n = 1800
age = rng.normal(60, 9, n)
stage = rng.integers(1, 5, n)
arm = rng.integers(0, 2, n)
marker = rng.lognormal(0.0, 0.6, n)
noise_cols = rng.normal(size=(n, 4))
log_hr = 0.035 * (age - 60) + 0.35 * (stage - 2) - 0.6 * arm * (marker > 1.0) + 0.3 * np.log(marker)
t_event = rng.exponential(24.0 * np.exp(-log_hr))
t_cens = rng.uniform(3, 48, n)
time = np.minimum(t_event, t_cens)
event = (t_event <= t_cens).astype(np.float32)

X = np.column_stack([age, stage, arm, np.log(marker), noise_cols]).astype(np.float32)
tr, va, te = np.split(rng.permutation(n), [1000, 1300])
mu, sd = X[tr].mean(0), X[tr].std(0)
X = torch.tensor((X - mu) / sd)
time, event = torch.tensor(time, dtype=torch.float32), torch.tensor(event)


def cox_loss(risk, t, e):
    # negative partial log-likelihood, Breslow; sort so the risk set is a prefix
    order = torch.argsort(t, descending=True)
    r, e = risk[order], e[order]
    return -((r - torch.logcumsumexp(r, 0)) * e).sum() / e.sum()


def c_index(risk, t, e):
    longer = (t[None, :] > t[:, None]) & (e[:, None] > 0)
    hit = (risk[:, None] > risk[None, :]).float() + 0.5 * (risk[:, None] == risk[None, :]).float()
    return (hit[longer]).mean().item()


net = nn.Sequential(nn.Linear(8, 16), nn.SELU(), nn.Dropout(0.2), nn.Linear(16, 1, bias=False))
opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)
best, best_state = 1e9, None
for epoch in range(600):
    net.train()
    opt.zero_grad()
    loss = cox_loss(net(X[tr]).squeeze(1), time[tr], event[tr])
    loss.backward()
    opt.step()
    net.eval()
    with torch.no_grad():
        v = cox_loss(net(X[va]).squeeze(1), time[va], event[va]).item()
    if v < best:
        best, best_state = v, {k: p.clone() for k, p in net.state_dict().items()}
    if epoch % 60 == 0:
        print(f"{epoch:4d}  partial nll {loss.item():.4f}  val {v:.4f}")

net.load_state_dict(best_state)
net.eval()
with torch.no_grad():
    risk = net(X[te]).squeeze(1)
print(f"events in test: {int(event[te].sum())}  of {len(te)}, true-risk C {c_index(torch.tensor(log_hr[te]), time[te], event[te]):.3f}")
print(f"test C-index {c_index(risk, time[te], event[te]):.4f}")
