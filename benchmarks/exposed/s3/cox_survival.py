"""Deep proportional hazards: negative log partial likelihood (Breslow), all patients at once."""
import os
import random
import numpy as np
import torch


def simulate(n, rng):
    x = rng.normal(size=(n, 8))
    x[:, 5:] = (x[:, 5:] > 0.4)
    risk = 0.9 * x[:, 0] + np.abs(x[:, 1]) * 1.2 - 0.8 * x[:, 5] + 0.7 * x[:, 2] * x[:, 6]
    t = rng.weibull(1.4, size=n) * np.exp(-risk / 1.4) * 5
    c = rng.uniform(0.2, 9, size=n)
    return x.astype(np.float32), np.minimum(t, c), (t <= c), risk


def concordance(score, time, event):
    """share of comparable pairs in the right order (higher score = dies sooner)"""
    num = den = 0
    for i in np.flatnonzero(event):
        later = time > time[i]
        num += (score[i] > score[later]).sum() + 0.5 * (score[i] == score[later]).sum()
        den += later.sum()
    return num / den


def partial_likelihood(score, event):
    # rows are sorted by descending time, so a running logsumexp is the risk set
    logrisk = torch.logcumsumexp(score, dim=0)
    return -((score - logrisk) * event).sum() / event.sum()


if __name__ == "__main__":
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)

    x, t, d, _ = simulate(3000, rng)
    xt, tt, dt, true_risk = simulate(1500, rng)
    print(f"events: {d.mean():.2f} of train, oracle concordance on test {concordance(true_risk, tt, dt):.4f}")
    order = np.argsort(-t)
    X, D = torch.tensor(x[order]), torch.tensor(d[order]).float()
    Xt = torch.tensor(xt)

    width = 32
    net = torch.nn.Sequential(
        torch.nn.Linear(8, width), torch.nn.ELU(),
        torch.nn.Linear(width, width), torch.nn.ELU(),
        torch.nn.Linear(width, 1, bias=False),        # an intercept would cancel anyway
    )
    opt = torch.optim.RAdam(net.parameters(), lr=0.01, weight_decay=1e-3)
    for step in range(240):
        loss = partial_likelihood(net(X)[:, 0], D)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 40 == 39:
            with torch.no_grad():
                s = net(Xt)[:, 0].numpy()
            print(f"step {step + 1}  loss {loss.item():.4f}  concordance {concordance(s, tt, dt):.4f}")
