"""Hourly bike rentals, Poisson regression with entity embeddings.
The embedding tables and the dense part have separate optimisers."""
import os, random
import numpy as np, pandas as pd, torch
import torch.nn as nn, torch.nn.functional as F

seed = int(os.environ.get("SEED", 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
cat_cols = ["season", "mnth", "hr", "weekday", "workingday", "weathersit"]
num_cols = ["temp", "atemp", "hum", "windspeed"]
cats = np.stack([pd.factorize(df[c])[0] for c in cat_cols], 1)
sizes = cats.max(0) + 1
nums = df[num_cols].to_numpy("float32")
y = df["bikers"].to_numpy("float32")

# whole weeks go to one side
week = (df["day"].to_numpy() - 1) // 7
weeks = np.random.permutation(np.unique(week))
test = np.isin(week, weeks[:13])
mu, sd = nums[~test].mean(0), nums[~test].std(0)
nums = (nums - mu) / sd

C = torch.as_tensor(cats); N = torch.as_tensor(nums); Y = torch.as_tensor(y)
tr, te = torch.as_tensor(np.where(~test)[0]), torch.as_tensor(np.where(test)[0])


class Rentals(nn.Module):
    def __init__(self, sizes, dim=6, n_num=4, hidden=64):
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(int(s), dim) for s in sizes])
        for t in self.tables:
            nn.init.normal_(t.weight, std=0.3)
        self.dense = nn.Sequential(
            nn.Linear(dim * len(sizes) + n_num, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 1))

    def forward(self, c, n):
        e = [t(c[:, i]) for i, t in enumerate(self.tables)]
        return self.dense(torch.cat(e + [n], 1)).squeeze(1)


net = Rentals(sizes)
net.dense[-1].bias.data.fill_(float(Y[tr].mean().log()))
EPOCHS = 24
opt_emb = torch.optim.Adam(net.tables.parameters(), lr=8e-3)
opt_dense = torch.optim.SGD(net.dense.parameters(), lr=5e-3, momentum=0.9)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt_dense, EPOCHS)
sched_e = torch.optim.lr_scheduler.CosineAnnealingLR(opt_emb, EPOCHS)
scale = Y[tr].mean()


def r2():
    with torch.no_grad():
        p = net(C[te], N[te]).exp()
    t = Y[te]
    return 1 - ((p - t) ** 2).sum().item() / ((t - t.mean()) ** 2).sum().item()


for ep in range(EPOCHS):
    tot = 0.
    for b in tr[torch.randperm(len(tr))].split(96):
        loss = F.poisson_nll_loss(net(C[b], N[b]), Y[b]) / scale
        opt_emb.zero_grad()
        opt_dense.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.)
        opt_emb.step()
        opt_dense.step()
        tot += loss.item() * len(b)
    sched.step(); sched_e.step()
    if ep % 5 == 4:
        print(f"epoch {ep + 1:2d}  nll {tot / len(tr):.4f}  test R2 {r2():.3f}")
print("final test R2 %.4f" % r2())
