"""Evolution strategies on the penguins: antithetic Gaussian perturbations fill .grad, no back-propagation."""
import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.func import functional_call, vmap
from torch.nn.utils import parameters_to_vector, vector_to_parameters

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna().sample(frac=1, random_state=SEED)
X = df[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]].to_numpy(float)
y = torch.tensor(df["species"].astype("category").cat.codes.to_numpy().astype(np.int64))
X = torch.tensor((X - X[:200].mean(0)) / X[:200].std(0), dtype=torch.float32)
Xtr, ytr, Xte, yte = X[:200], y[:200], X[200:], y[200:]

net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
shapes = [(n, p.shape, p.numel()) for n, p in net.named_parameters()]


def unpack(flat):
    out, i = {}, 0
    for n, s, c in shapes:
        out[n] = flat[i:i + c].view(s)
        i += c
    return out


@torch.no_grad()
def fitness(flats):
    def one(v):
        return nn.functional.cross_entropy(functional_call(net, unpack(v), (Xtr,)), ytr)
    return vmap(one)(flats)


opt = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.8)
SIGMA, POP = 0.1, 30
for gen in range(300):
    theta = parameters_to_vector(net.parameters()).detach()
    e = torch.randn(POP, len(theta))
    f = fitness(torch.cat([theta + SIGMA * e, theta - SIGMA * e]))
    g = ((f[:POP] - f[POP:])[:, None] * e).mean(0) / (2 * SIGMA)
    i = 0
    for p in net.parameters():
        p.grad = g[i:i + p.numel()].view_as(p).clone()
        i += p.numel()
    opt.step()
    if gen % 50 == 49:
        print("generation %d  mean loss of the population %.4f  best %.4f" % (gen + 1, f.mean(), f.min()))
with torch.no_grad():
    out = net(Xte)
print("test cross entropy %.4f" % nn.functional.cross_entropy(out, yte))
print("test accuracy %.4f" % (out.argmax(1) == yte).float().mean())
