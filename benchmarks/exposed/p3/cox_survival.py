# Cox proportional hazards with a small network: right-censored follow-up times, full-batch partial likelihood
import os, random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def cohort(n):
    x = rng.normal(size=(n, 8))
    log_risk = 0.8 * x[:, 0] - 0.5 * x[:, 1] + 0.6 * (x[:, 2] ** 2 - 1) + 0.5 * x[:, 3] * x[:, 4]
    t = rng.weibull(1.4, n) * 60 * np.exp(-log_risk / 1.4)
    c = rng.uniform(5, 120, n)
    return (torch.tensor(x, dtype=torch.float32), torch.tensor(np.minimum(t, c)),
            torch.tensor((t <= c).astype(np.float32)), log_risk)


def cox_loss(score, time, event):
    order = torch.argsort(time, descending=True)
    s, e = score[order], event[order]
    return -((s - torch.logcumsumexp(s, 0)) * e).sum() / e.sum()


def c_index(score, time, event):
    t, s = time.numpy(), np.asarray(score)
    first = (t[:, None] < t[None, :]) & (event.numpy()[:, None] == 1)
    conc = (s[:, None] > s[None, :]) + 0.5 * (s[:, None] == s[None, :])
    return float((conc * first).sum() / first.sum())


x, t, e, _ = cohort(3000)
xv, tv, ev, _ = cohort(800)
xt, tt, et, risk_t = cohort(2000)
print(f"events: {int(e.sum())} of {len(e)}")

net = nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1, bias=False))
opt = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.1)
best, state, since = np.inf, None, 0
for it in range(400):
    net.train()
    loss = cox_loss(net(x).squeeze(1), t, e)
    opt.zero_grad()
    loss.backward()
    opt.step()
    net.eval()
    with torch.no_grad():
        v = cox_loss(net(xv).squeeze(1), tv, ev).item()
    if it % 20 == 0:
        print(f"iteration {it}: partial likelihood loss {loss.item():.4f}, validation {v:.4f}")
    if v < best:
        best, state, since = v, {k: p.clone() for k, p in net.state_dict().items()}, 0
    else:
        since += 1
        if since == 60:
            break

net.load_state_dict(state)
with torch.no_grad():
    s = net(xt).squeeze(1)
print(f"stopped at {it}; test C-index {c_index(s, tt, et):.4f} (true risk {c_index(risk_t, tt, et):.4f})")
