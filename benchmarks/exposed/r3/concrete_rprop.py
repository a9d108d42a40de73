# Concrete strength with a hand-written iRprop- (Igel & Huesken 2000): full batch, one step size per weight.
import os
import numpy as np
import pandas as pd
import torch

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

data = pd.read_csv(os.environ["DATA"] + "/concrete.csv")
X = data.drop(columns="compressive_strength").to_numpy(np.float64)
y = data["compressive_strength"].to_numpy(np.float64)
X[:, -1] = np.log(X[:, -1])         # age in days
p = np.random.permutation(len(y))
tr, va, te = p[:680], p[680:800], p[800:]
X = torch.tensor((X - X[tr].mean(0)) / X[tr].std(0), dtype=torch.float32)
y = torch.tensor((y - y[tr].mean()) / y[tr].std(), dtype=torch.float32)[:, None]


class IRprop:
    def __init__(self, params, first=0.01, up=1.2, down=0.5, low=1e-6, high=0.2):
        self.params = list(params)
        self.size = [torch.full_like(p, first) for p in self.params]
        self.last = [torch.zeros_like(p) for p in self.params]
        self.up, self.down, self.low, self.high = up, down, low, high

    @torch.no_grad()
    def update(self):
        for p, s, last in zip(self.params, self.size, self.last):
            g = p.grad.clone()
            agree = g * last
            s[agree > 0] *= self.up
            s[agree < 0] *= self.down
            s.clamp_(self.low, self.high)
            g[agree < 0] = 0            # after a change of sign: wait one round
            p -= g.sign() * s
            last.copy_(g)
            p.grad = None


def make(h):
    return torch.nn.Sequential(torch.nn.Linear(8, h), torch.nn.Tanh(), torch.nn.Linear(h, h // 2), torch.nn.Tanh(),
                               torch.nn.Linear(h // 2, 1))


HIDDEN, ROUNDS, DECAY, MEMBERS = 64, 400, 3e-4, 4
START = 0.01
answers = []
for m in range(MEMBERS):
    net = make(HIDDEN)
    weights = [w for w in net.parameters() if w.dim() == 2]
    opt = IRprop(net.parameters(), START)
    best, best_va, keep = 0, float("inf"), None
    for r in range(ROUNDS):
        mse = ((net(X[tr]) - y[tr]) ** 2).mean()
        (mse + DECAY * sum((w ** 2).sum() for w in weights)).backward()
        opt.update()
        with torch.no_grad():
            v = ((net(X[va]) - y[va]) ** 2).mean().item()
        if v < best_va:
            best, best_va, keep = r, v, {k: t.clone() for k, t in net.state_dict().items()}
        if r % 100 == 0:
            print(f"net {m} round {r:4d} train {mse.item():.4f} val {v:.4f}")
    net.load_state_dict(keep)
    print(f"net {m}: best round {best}, val mse {best_va:.4f}")
    with torch.no_grad():
        answers.append(net(X[te]))

pred = torch.stack(answers).mean(0)
print(f"test R2 of the mean of {MEMBERS}: {1 - ((pred - y[te]) ** 2).sum().item() / ((y[te] - y[te].mean()) ** 2).sum().item():.4f}")
