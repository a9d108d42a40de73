# A committee of eight small tanh nets for concrete strength, all trained at once in batched
# matrices with Rprop on the full table. Mixes stay whole across the split.
import os, random
import numpy as np, pandas as pd, torch

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

tab = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
recipe = [c for c in tab.columns if c not in ("age", "compressive_strength")]
group = tab.groupby(recipe).ngroup().values
ids = np.random.permutation(group.max() + 1)
n_te, n_va = len(ids) // 5, len(ids) // 8
te = np.isin(group, ids[:n_te])
va = np.isin(group, ids[n_te:n_te + n_va])
tr = ~(te | va)

raw = tab[recipe].copy()
raw["log_age"] = np.log(tab.age)
raw["w_c"] = tab.water / (tab.cement + .5 * tab.blast_furnace_slag + .3 * tab.fly_ash)
x = ((raw - raw[tr].mean()) / raw[tr].std()).values
m, s = tab.compressive_strength[tr].mean(), tab.compressive_strength[tr].std()
y = ((tab.compressive_strength - m) / s).values
X, Y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
tr, va, te = (torch.tensor(np.where(k)[0]) for k in (tr, va, te))

MEMBERS, HID, ITERS, ETA, L2 = 8, 20, 600, 2e-3, 1e-3
d = X.shape[1]
theta = [torch.randn(MEMBERS, d, HID) / d ** .5, torch.zeros(MEMBERS, 1, HID),
         torch.randn(MEMBERS, HID, HID) / HID ** .5, torch.zeros(MEMBERS, 1, HID),
         torch.randn(MEMBERS, HID, 1) / HID ** .5, torch.zeros(MEMBERS, 1, 1)]
theta = [t.requires_grad_() for t in theta]


def committee(z):
    h = torch.tanh(z @ theta[0] + theta[1])
    h = torch.tanh(h @ theta[2] + theta[3])
    return (h @ theta[4] + theta[5]).squeeze(-1)          # members x rows


opt = torch.optim.Rprop(theta, lr=ETA, etas=(.5, 1.2), step_sizes=(1e-7, .05))
best = np.full(MEMBERS, np.inf)
keep = [t.detach().clone() for t in theta]
for it in range(ITERS + 1):
    opt.zero_grad()
    mse = (committee(X[tr]) - Y[tr]).square().mean(1)
    # summed over members: they share no weight
    (mse + L2 * sum(t.square().flatten(1).sum(1) for t in theta[::2])).sum().backward()
    opt.step()
    if it % 5 == 0:
        with torch.no_grad():
            v = (committee(X[va]) - Y[va]).square().mean(1).numpy()
            for k in np.where(v < best)[0]:
                best[k] = v[k]
                for a, b in zip(keep, theta):
                    a[k] = b[k]
    if it % 100 == 0:
        print(f"{it:4d}  train mse {mse.mean().item():.4f}  validation {v.mean():.4f}  best {best.mean():.4f}")

theta = keep
with torch.no_grad():
    p = committee(X[te])
r2 = lambda q: (1 - (Y[te] - q).square().sum() / (Y[te] - Y[te].mean()).square().sum()).item()
print("single members:", " ".join(f"{r2(q):.3f}" for q in p))
print(f"committee on unseen mixes: R2 {r2(p.mean(0)):.4f}, RMSE {s * (p.mean(0) - Y[te]).square().mean().sqrt().item():.2f} MPa")
