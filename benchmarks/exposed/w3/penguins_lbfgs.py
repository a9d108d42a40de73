# 333 penguins, ten-fold cross-validation, tiny tanh net fitted with L-BFGS.
import os, random
import numpy as np, pandas as pd, torch
from sklearn.model_selection import StratifiedKFold
torch.set_default_dtype(torch.float64)

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

d = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
names, y = np.unique(d.species, return_inverse=True)
X = d[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]].to_numpy(float)
X = np.column_stack([X, d.sex == "male"])
y = torch.tensor(y)

HID, L2, OUTER, RATE, CHUNK = 6, 3e-3, 4, 1.0, 75


def fit(x, t):
    net = torch.nn.Sequential(torch.nn.Linear(5, HID), torch.nn.Tanh(), torch.nn.Linear(HID, 3))
    opt = torch.optim.LBFGS(net.parameters(), lr=RATE, max_iter=20, history_size=10, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        whole = 0.0
        for a in range(0, len(x), CHUNK):          # the full gradient, summed up chunk by chunk
            part = torch.nn.functional.cross_entropy(net(x[a:a + CHUNK]), t[a:a + CHUNK], reduction="sum") / len(x)
            part.backward()
            whole += part.item()
        pen = L2 * sum((p ** 2).sum() for p in net.parameters() if p.dim() == 2)
        pen.backward()
        return torch.tensor(whole + pen.item())

    trace = [opt.step(closure).item() for _ in range(OUTER)]
    trace.append(closure().item())
    return net, trace


right = torch.zeros(len(y), dtype=torch.bool)
for k, (tr, te) in enumerate(StratifiedKFold(10, shuffle=True, random_state=SEED).split(X, y)):
    m, s = X[tr].mean(0), X[tr].std(0)
    Z = torch.tensor((X - m) / s)
    net, trace = fit(Z[tr], y[tr])
    with torch.no_grad():
        right[te] = net(Z[te]).argmax(1) == y[te]
    print("fold", k, "objective", " ".join("%.4f" % v for v in trace), "| held out %d/%d" % (right[te].sum(), len(te)))
print("cross-validated accuracy: %.4f" % right.double().mean())
