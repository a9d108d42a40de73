# Penguin species with nothing but tensors and autograd.
import os
import random
import numpy as np
import pandas as pd
import torch

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.environ["DATA"] + "/penguins.csv").dropna().sample(frac=1, random_state=SEED)
feats = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
species = sorted(df.species.unique())
X = df[feats].to_numpy("float32")
T = df.species.map({s: i for i, s in enumerate(species)}).to_numpy()

cut = int(0.7 * len(df))
mean, std = X[:cut].mean(0), X[:cut].std(0)
X = torch.tensor((X - mean) / std)
T = torch.tensor(T)
x_tr, t_tr, x_te, t_te = X[:cut], T[:cut], X[cut:], T[cut:]

n_in, n_hidden, n_out = len(feats), 10, len(species)
W1 = (torch.randn(n_in, n_hidden) / n_in**0.5).requires_grad_()
b1 = torch.zeros(n_hidden, requires_grad=True)
W2 = (torch.randn(n_hidden, n_out) / n_hidden**0.5).requires_grad_()
b2 = torch.zeros(n_out, requires_grad=True)
params = [W1, b1, W2, b2]


def forward(x):
    h = torch.tanh(x @ W1 + b1)
    return torch.log_softmax(h @ W2 + b2, dim=1)


lr = 0.1
for it in range(1, 1501):
    logp = forward(x_tr)
    nll = -logp[torch.arange(cut), t_tr].mean()
    grads = torch.autograd.grad(nll, params)
    with torch.no_grad():
        for p, g in zip(params, grads):
            p -= lr * g
    if it % 250 == 0:
        with torch.no_grad():
            acc = (forward(x_te).argmax(1) == t_te).float().mean()
        print(f"iteration {it}: nll {nll.item():.4f}, test accuracy {acc.item():.4f}")
