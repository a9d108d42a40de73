"""Five-fold cross-validation on the diabetes table (R2 about 0.5 is all there is). Full-batch steps written by hand."""
import os
import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
X, y = load_diabetes(return_X_y=True, scaled=False)
HIDDEN, LR, MOM, DECAY, STEPS = 8, 0.05, 0.9, 0.03, 300


def init(d):
    w1 = torch.randn(d, HIDDEN) / d ** 0.5
    w2 = torch.randn(HIDDEN, 1) / HIDDEN ** 0.5
    skip = torch.zeros(d, 1)                            # linear path beside the hidden layer
    params = [w1, torch.zeros(HIDDEN), w2, torch.zeros(1), skip]
    return [p.requires_grad_() for p in params]


def predict(p, x):
    w1, b1, w2, b2, skip = p
    return torch.tanh(x @ w1 + b1) @ w2 + b2 + x @ skip


def fit(x, t, log):
    p = init(x.shape[1])
    vel = [torch.zeros_like(q) for q in p]
    for step in range(STEPS):
        loss = (predict(p, x) - t).square().mean()
        penalty = DECAY * sum(q.square().sum() for q in (p[0], p[2], p[4]))
        grads = torch.autograd.grad(loss + penalty, p)
        with torch.no_grad():
            for q, v, g in zip(p, vel, grads):
                v.mul_(MOM).add_(g)
                q.sub_(LR * v)
        if log and step % 50 == 49:
            print(f"   step {step + 1:4d}  mse {loss.item():.4f}")
    return p


sq = np.zeros(len(y))
for k, (tr, te) in enumerate(KFold(5, shuffle=True, random_state=SEED).split(X)):
    mx, sx, my, sy = X[tr].mean(0), X[tr].std(0), y[tr].mean(), y[tr].std()
    xt = torch.tensor((X - mx) / sx, dtype=torch.float32)
    yt = torch.tensor((y - my) / sy, dtype=torch.float32)[:, None]
    runs = []
    for rep in range(3):                                # a bag of three starts
        p = fit(xt[tr], yt[tr], log=rep == 0)
        with torch.no_grad():
            runs.append(predict(p, xt[te]).squeeze(1).numpy() * sy + my)
    sq[te] = (np.mean(runs, 0) - y[te]) ** 2
    print(f"fold {k}  R2 {1 - sq[te].mean() / y[te].var():.3f}")
print("cross-validated R2: %.4f" % (1 - sq.mean() / y.var()))
