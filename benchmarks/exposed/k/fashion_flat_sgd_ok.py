import os, gzip, time
import numpy as np
import torch
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
np.random.seed(SEED)

folder = os.path.join(os.environ["DATA"], "fashion-mnist")

def load(kind, n):
    with gzip.open(os.path.join(folder, kind + "-labels-idx1-ubyte.gz"), "rb") as f:
        labels = np.frombuffer(f.read(), np.uint8, offset=8)[:n]
    with gzip.open(os.path.join(folder, kind + "-images-idx3-ubyte.gz"), "rb") as f:
        images = np.frombuffer(f.read(16 + 784 * n), np.uint8, offset=16).reshape(n, 784)
    return torch.tensor(images).float().div(255).sub(0.286).div(0.353), torch.tensor(labels).long()

X, Y = load("train", 15000)
Xt, Yt = load("t10k", 5000)

n_hidden = 100
bs = 128
lr = 0.05

lin1 = torch.nn.Linear(784, n_hidden)
lin2 = torch.nn.Linear(n_hidden, 10)
params = list(lin1.parameters()) + list(lin2.parameters())
optimizer = torch.optim.SGD(params, lr=lr)

def net(x):
    return lin2(F.relu(lin1(x)))

t0 = time.time()
for epoch in range(12):
    order = torch.randperm(len(X))
    run_loss = 0.0
    for k in range(0, len(X), bs):
        ix = order[k:k + bs]
        out = net(X[ix])
        loss = F.cross_entropy(out, Y[ix])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run_loss += loss.item()
    with torch.no_grad():
        acc_tr = (net(X[:5000]).argmax(1) == Y[:5000]).float().mean().item()
        acc_te = (net(Xt).argmax(1) == Yt).float().mean().item()
    print("epoch %2d  loss %.5f  train acc %.4f  test acc %.4f  (%.1fs)" % (epoch, run_loss, acc_tr, acc_te, time.time() - t0))
