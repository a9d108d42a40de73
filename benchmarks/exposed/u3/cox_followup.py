# Proportional hazards on a simulated follow-up study, heavy censoring.
import os, random
import numpy as np, torch

S = int(os.environ.get("SEED", "0"))
random.seed(S); np.random.seed(S); torch.manual_seed(S)
rng = np.random.default_rng(S)

N, P = 3000, 12
HIDDEN = 12
ROUNDS, STEP = 30, 0.5
PENALTY = 3e-3

X = rng.normal(size=(N, P)).astype("float32")
true_risk = .9 * X[:, 0] - .7 * X[:, 1] + .6 * np.abs(X[:, 2]) + .5 * X[:, 3] * (X[:, 4] > 0)
event_time = rng.weibull(1.4, N) * np.exp(-true_risk / 1.4) * 10
cens_time = rng.exponential(4.5, N)
T = np.minimum(event_time, cens_time)
D = (event_time <= cens_time).astype("float32")
print("events: %.0f%%" % (100 * D.mean()))


class Risk(torch.nn.Module):
    def __init__(self, p, h):
        super().__init__()
        self.skip = torch.nn.Linear(p, 1, bias=False)      # baseline hazard takes any constant
        self.a = torch.nn.Linear(p, h)
        self.b = torch.nn.Linear(h, 1, bias=False)

    def forward(self, x):
        return (self.skip(x) + self.b(torch.nn.functional.softplus(self.a(x)))).squeeze(1)


def neg_log_partial(risk, time, dead):
    order = torch.argsort(time, descending=True)
    r, d = risk[order], dead[order]
    return -((r - torch.logcumsumexp(r, 0)) * d).sum() / d.sum()


def concordance(risk, time, dead):
    risk, time, dead = map(np.asarray, (risk, time, dead))
    earlier = (time[:, None] < time[None, :]) & (dead[:, None] == 1)
    diff = risk[:, None] - risk[None, :]
    return ((diff > 0) & earlier).sum() / earlier.sum()


cut = 2000
xt, xv = torch.tensor(X[:cut]), torch.tensor(X[cut:])
tt, dt = torch.tensor(T[:cut]), torch.tensor(D[:cut])

model = Risk(P, HIDDEN)
optim = torch.optim.LBFGS(model.parameters(), lr=STEP, max_iter=8, history_size=20)


def closure():
    optim.zero_grad()
    obj = neg_log_partial(model(xt), tt, dt) + PENALTY * sum((w ** 2).sum() for w in model.parameters())
    obj.backward()
    return obj


for r in range(ROUNDS):
    obj = optim.step(closure)
    if r % 3 == 0 or r == ROUNDS - 1:
        with torch.no_grad():
            c = concordance(model(xt), T[:cut], D[:cut])
        print(f"round {r:2d}  objective {obj.item():.4f}  train C {c:.4f}")

with torch.no_grad():
    print("true risk on held-out patients: C = %.4f" % concordance(true_risk[cut:], T[cut:], D[cut:]))
    print("held-out C-index %.4f" % concordance(model(xv), T[cut:], D[cut:]))
