import os
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)

# a cohort of 1500 patients, 12 covariates, about 40% censored
N, P = 2400, 12
Z = rng.normal(size=(N, P))
risk = 0.9 * Z[:, 0] - 0.7 * Z[:, 1] + 0.8 * np.maximum(Z[:, 2], 0) + 0.5 * Z[:, 3] * Z[:, 0]
event_time = rng.exponential(1.0 / np.exp(risk))
censor = rng.exponential(1.6, size=N)
t = np.minimum(event_time, censor)
e = (event_time <= censor).astype(np.float32)
cut, cut2 = 1500, 1800
print("events observed:", e.mean().round(3))


def cox_loss(h, time, event):
    """negative log partial likelihood, Breslow ties; whole cohort at once since every patient is in the others' risk sets"""
    order = torch.argsort(time, descending=True)
    h, event = h[order], event[order]
    return -((h - torch.logcumsumexp(h, 0)) * event).sum() / event.sum()


def concordance(h, time, event):
    ok = (time[:, None] < time[None, :]) & (event[:, None] > 0)
    return (((h[:, None] > h[None, :]) & ok).sum() + 0.5 * ((h[:, None] == h[None, :]) & ok).sum()) / ok.sum()


X = torch.tensor(Z, dtype=torch.float32)
T = torch.tensor(t, dtype=torch.float32)
E = torch.tensor(e)
net = torch.nn.Sequential(torch.nn.Linear(P, 32), torch.nn.SELU(), torch.nn.Dropout(0.2), torch.nn.Linear(32, 16), torch.nn.SELU(), torch.nn.Linear(16, 1, bias=False))
opt = torch.optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-3)
best, best_state, wait = float("inf"), None, 0
for it in range(1500):
    net.train()
    opt.zero_grad()
    loss = cox_loss(net(X[:cut]).squeeze(), T[:cut], E[:cut])
    loss.backward()
    opt.step()
    net.eval()
    with torch.no_grad():
        v = cox_loss(net(X[cut:cut2]).squeeze(), T[cut:cut2], E[cut:cut2]).item()
    if v < best - 1e-5:
        best, best_state, wait = v, {k: w.detach().clone() for k, w in net.state_dict().items()}, 0
    else:
        wait += 1
    if it % 50 == 0:
        print(f"step {it:4d}  train {loss.item():.4f}  val {v:.4f}")
    if wait == 150:
        print("no better for 150 steps, stopping at", it)
        break
net.load_state_dict(best_state)
net.eval()
with torch.no_grad():
    h = net(X[cut2:]).squeeze().numpy()
print("c-index of the true risk %.4f" % concordance(risk[cut2:], t[cut2:], e[cut2:]))
print("test c-index %.4f" % concordance(h, t[cut2:], e[cut2:]))
