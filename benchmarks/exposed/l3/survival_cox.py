# DeepSurv-style network trained on the Cox partial likelihood, simulated clinical cohort
import os
import numpy as np
import torch
import torch.nn as nn

seed = int(os.environ.get("SEED", 0))
np.random.seed(seed)
torch.manual_seed(seed)


def simulate(n):
    age = np.random.normal(60, 11, n)
    stage = np.random.randint(1, 5, n)
    marker = np.random.lognormal(1.0, 0.8, n)
    treated = np.random.binomial(1, 0.5, n)
    noise = np.random.normal(size=(n, 4))
    risk = 0.04 * (age - 60) + 0.5 * (stage - 2) + 0.9 * np.tanh(np.log(marker) - 1) - treated * (0.9 - 0.3 * (stage > 2))
    time = np.random.weibull(1.3, n) * 40 * np.exp(-risk / 1.3)
    cens = np.random.uniform(5, 90, n)
    X = np.column_stack([age, stage, np.log(marker), treated, noise])
    return X.astype("float32"), np.minimum(time, cens).astype("float32"), (time <= cens).astype("float32")


def cox_loss(log_risk, time, event):
    order = torch.argsort(time, descending=True)
    lr, ev = log_risk[order], event[order]
    log_cum = torch.logcumsumexp(lr, dim=0)
    return -((lr - log_cum) * ev).sum() / ev.sum().clamp(min=1)


def concordance(risk, time, event):
    i, j = np.where((time[:, None] < time[None, :]) & (event[:, None] == 1))
    return np.mean((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))


X, t, e = simulate(2600)
print("event rate %.3f" % e.mean())
n_tr, n_va = 1600, 400
mean, std = X[:n_tr].mean(0), X[:n_tr].std(0)
X = torch.from_numpy((X - mean) / std)
T, E = torch.from_numpy(t), torch.from_numpy(e)
parts = {"train": slice(0, n_tr), "val": slice(n_tr, n_tr + n_va), "test": slice(n_tr + n_va, None)}

net = nn.Sequential(nn.Linear(X.shape[1], 32), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(32, 16), nn.SELU(), nn.Linear(16, 1, bias=False))
opt = torch.optim.Adam(net.parameters(), lr=2e-3, weight_decay=1e-3)
best, best_weights, wait = np.inf, None, 0
for epoch in range(100):
    net.train()
    for idx in torch.randperm(n_tr).split(200):
        loss = cox_loss(net(X[idx]).squeeze(1), T[idx], E[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        v = cox_loss(net(X[parts["val"]]).squeeze(1), T[parts["val"]], E[parts["val"]]).item()
    if v < best - 1e-4:
        best, wait = v, 0
        best_weights = {k: w.clone() for k, w in net.state_dict().items()}
    else:
        wait += 1
    if epoch % 10 == 0:
        print(f"epoch {epoch:3d} train {loss.item():.4f} val {v:.4f}")
    if wait == 25:
        print("early stop at", epoch)
        break

net.load_state_dict(best_weights)
net.eval()
with torch.no_grad():
    r = net(X[parts["test"]]).squeeze(1).numpy()
print("test C-index %.4f" % concordance(r, t[parts["test"]], e[parts["test"]]))
