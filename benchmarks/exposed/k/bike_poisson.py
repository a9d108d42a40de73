import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

d = pd.read_csv(os.environ["DATA"] + "/bikeshare.csv")
d["mnth"] = d["mnth"].astype("category").cat.codes
d["weathersit"] = d["weathersit"].astype("category").cat.codes
d["slot"] = d["hr"] + 24 * d["workingday"]        # the daily profile differs on days off
CATS = ["season", "mnth", "slot", "weekday", "weathersit"]
NUMS = ["holiday", "workingday", "temp", "atemp", "hum", "windspeed"]
cards = [int(d[c].max()) + 1 for c in CATS]

perm = np.random.permutation(len(d))
n_test, n_val = 1500, 800
test, val, train = perm[:n_test], perm[n_test:n_test + n_val], perm[n_test + n_val:]
C = torch.tensor(d[CATS].to_numpy().astype(np.int64))
N = d[NUMS].to_numpy().astype(np.float32)
N = torch.tensor((N - N[train].mean(0)) / N[train].std(0))
y = torch.tensor(d["bikers"].to_numpy().astype(np.float32))


class RentalNet(nn.Module):
    """Entity embeddings + dense layers; gives the log of the expected count."""

    def __init__(self, cards, n_num, hidden=128, start=0.0):
        super().__init__()
        self.emb = nn.ModuleList(nn.Embedding(c, min(12, (c + 1) // 2)) for c in cards)
        width = sum(e.embedding_dim for e in self.emb) + n_num
        self.l1 = nn.Linear(width, hidden)
        self.l2 = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.constant_(self.out.bias, start)

    def forward(self, c, n):
        h = torch.cat([e(c[:, i]) for i, e in enumerate(self.emb)] + [n], 1)
        h = F.silu(self.l1(h))
        h = F.silu(self.l2(h))
        return self.out(h).squeeze(-1)


net = RentalNet(cards, len(NUMS), start=float(y[train].mean().log()))
EPOCHS, BATCH = 40, 128
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 8e-3, epochs=EPOCHS, steps_per_epoch=(len(train) + BATCH - 1) // BATCH)


def deviance(idx):
    net.eval()
    with torch.no_grad():
        log_mu = net(C[idx], N[idx])
        mu, t = log_mu.exp(), y[idx]
        dev = 2 * (torch.xlogy(t, t / mu) - (t - mu)).mean()
        mae = (mu - t).abs().mean()
    return dev.item(), mae.item()


for epoch in range(EPOCHS):
    net.train()
    order = train[np.random.permutation(len(train))]
    tot = 0
    for i in range(0, len(order), BATCH):
        b = order[i:i + BATCH]
        loss = F.poisson_nll_loss(net(C[b], N[b]), y[b], log_input=True) / 100
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        sched.step()
        tot += loss.item() * len(b)
    if (epoch + 1) % 5 == 0:
        print("epoch %d  loss %.3f  val deviance %.2f  val mae %.2f" % (epoch + 1, tot / len(train), *deviance(val)))
dv, mae = deviance(test)
print("test deviance %.2f, mean absolute error %.2f" % (dv, mae))
