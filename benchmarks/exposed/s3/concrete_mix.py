import os, random
import numpy as np, pandas as pd, torch

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# ---- data: a mix that was tested at several ages stays on one side of the split
d = pd.read_csv(os.path.join(os.environ["DATA"], "concrete.csv"))
mix = d.iloc[:, :7].astype(str).agg("|".join, axis=1)
names = list(mix.unique()); random.shuffle(names)
held = set(names[: len(names) // 4])
te = mix.isin(held).to_numpy(copy=True)

f = d.drop(columns="compressive_strength").copy()
f["age"] = np.log(f["age"])
binder = f.cement + f.blast_furnace_slag + f.fly_ash
f["w_b"] = f.water / binder
f["w_c"] = np.log(f.water / f.cement)
f = (f - f[~te].mean()) / f[~te].std()
t = d.compressive_strength.values
m, s = t[~te].mean(), t[~te].std()
X = torch.tensor(f.values, dtype=torch.float32)
Y = torch.tensor((t - m) / s, dtype=torch.float32)
Xa, Ya, Xb, Yb = X[~te], Y[~te], X[te], Y[te]

# ---- parameters
H = 24
def w(i, o): return (torch.randn(i, o) / i ** .5).requires_grad_()
W1, W2, W3 = w(X.shape[1], H), w(H, H), w(H, 1)
b1, b2, b3 = (torch.zeros(n, requires_grad=True) for n in (H, H, 1))
P = [W1, b1, W2, b2, W3, b3]

def predict(x):
    h = torch.tanh(x @ W1 + b1)
    h = torch.tanh(h @ W2 + b2)
    return (h @ W3 + b3)[:, 0]

# ---- squared error SUMMED over the batch, hence the small step
LR, EPOCHS, WD = 8e-4, 120, 0.03
opt = torch.optim.SGD(P, lr=LR, momentum=0.9)
for e in range(EPOCHS):
    if e == EPOCHS * 2 // 3:
        for g in opt.param_groups: g["lr"] *= 0.2
    order = torch.randperm(len(Xa))
    total = 0.
    for i in range(0, len(Xa), 32):
        j = order[i:i + 32]
        err = predict(Xa[j]) - Ya[j]
        loss = .5 * (err ** 2).sum() + WD * sum((p ** 2).sum() for p in (W1, W2, W3))
        opt.zero_grad(); loss.backward(); opt.step()
        total += (err.detach() ** 2).sum().item()
    if e % 20 == 19:
        with torch.no_grad():
            r = 1 - ((predict(Xb) - Yb) ** 2).sum() / ((Yb - Yb.mean()) ** 2).sum()
        print("epoch", e + 1, "train mse %.4f" % (total / len(Xa)), "unseen mixes R2 %.4f" % r)
