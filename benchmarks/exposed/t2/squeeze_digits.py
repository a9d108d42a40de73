import os, random
import numpy as np, torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# 8x8 digits squeezed into 8 numbers and back
X = load_digits().data.astype("float32") / 16.
Xtr, Xte = train_test_split(X, test_size=.3, random_state=SEED)
Xtr, Xte = torch.from_numpy(Xtr), torch.from_numpy(Xte)

enc = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ELU(), torch.nn.Linear(96, 8))
dec = torch.nn.Sequential(torch.nn.Linear(8, 96), torch.nn.ELU(), torch.nn.Linear(96, 64))
params = [*enc.parameters(), *dec.parameters()]
opt = torch.optim.Adam(params, lr=3e-3)
steps = 4000
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=steps)


def minibatch(x, size):
    # own generator, so that the draw does not depend on what else uses numpy
    rng = np.random.default_rng(SEED)
    rows = rng.choice(len(x), size=size, replace=False)
    return x[torch.from_numpy(rows)]


def score(x):
    with torch.no_grad():
        r = dec(enc(x))
    return 1 - float(((r - x) ** 2).sum() / ((x - Xtr.mean(0)) ** 2).sum())


running = None
for it in range(1, steps + 1):
    xb = minibatch(Xtr, 128)
    out = dec(enc(xb))
    loss = torch.nn.functional.mse_loss(out, xb)
    opt.zero_grad(); loss.backward(); opt.step(); sched.step()
    running = loss.item() if running is None else .98 * running + .02 * loss.item()
    if it % 500 == 0:
        print(f"{it:5d} reconstruction mse {running:.5f}")

print(f"explained on unseen digits: {score(Xte):.4f}")
