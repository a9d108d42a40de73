# Pure premium model: Tweedie deviance (p = 1.5), exposure as offset. Most policies have no claim at all.
import os, argparse
import numpy as np, torch
from torch.utils.data import TensorDataset, DataLoader

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=20)
ap.add_argument("--lr", type=float, default=5e-2)
ap.add_argument("--hidden", type=int, default=16)
ap.add_argument("--power", type=float, default=1.5)
args = ap.parse_args()

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

n = 24000
driver_age = rng.uniform(18, 85, n)
car_age = rng.integers(0, 20, n).astype(float)
power = rng.integers(4, 13, n).astype(float)
density = rng.lognormal(6, 1.2, n)
bonus = np.clip(rng.normal(65, 18, n), 50, 150)
exposure = rng.uniform(0.2, 1.0, n)
freq = np.exp(-2.2 + 0.6 * (driver_age < 25) + 0.015 * (bonus - 65) + 0.15 * (np.log(density) - 6) + 0.0004 * (driver_age - 50) ** 2)
sev = np.exp(7.0 + 0.05 * (power - 8) - 0.02 * car_age)
counts = rng.poisson(freq * exposure)
claims = np.array([rng.gamma(1.2, s / 1.2, c).sum() if c else 0.0 for c, s in zip(counts, sev)])
print("policies without claim: %.1f %%" % (100 * (claims == 0).mean()))

X = np.column_stack([driver_age, car_age, power, np.log(density), bonus]).astype("float32")
cut = int(0.7 * n)
X = (X - X[:cut].mean(0)) / X[:cut].std(0)
unit = claims[:cut].sum() / exposure[:cut].sum()             # portfolio mean premium
y = (claims / unit).astype("float32")
X, y, off = torch.tensor(X), torch.tensor(y), torch.tensor(np.log(exposure).astype("float32"))

p = args.power


def deviance(mu, t):
    return 2 * (t.pow(2 - p) / ((1 - p) * (2 - p)) - t * mu.pow(1 - p) / (1 - p) + mu.pow(2 - p) / (2 - p)).mean()


net = torch.nn.Sequential(torch.nn.Linear(5, args.hidden), torch.nn.Tanh(), torch.nn.Linear(args.hidden, 1))
torch.nn.init.zeros_(net[2].weight)
torch.nn.init.zeros_(net[2].bias)                            # start at the portfolio mean
opt = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=1e-2)
dl = DataLoader(TensorDataset(X[:cut], y[:cut], off[:cut]), batch_size=512, shuffle=True)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, args.epochs * len(dl))
for ep in range(args.epochs):
    tot = 0
    for xb, yb, ob in dl:
        mu = (net(xb).squeeze(1) + ob).exp()
        loss = deviance(mu, yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        tot += loss.item() * len(xb)
    if ep % 2 == 1:
        print(f"epoch {ep + 1} deviance {tot / cut:.4f}")

with torch.no_grad():
    best = torch.tensor((freq * sev / unit)[cut:].astype("float32")) * off[cut:].exp()
    flat = off[cut:].exp()
    print(f"flat premium {deviance(flat, y[cut:]).item():.4f}   true premium {deviance(best, y[cut:]).item():.4f}")
    print(f"test deviance {deviance((net(X[cut:]).squeeze(1) + off[cut:]).exp(), y[cut:]).item():.4f}")
