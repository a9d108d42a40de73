"""Hourly bike rentals: a Poisson network with entity embeddings."""
import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
cats = ["mnth", "hr", "weekday", "weathersit"]
codes = np.stack([df[c].astype("category").cat.codes.to_numpy() for c in cats], 1).astype("int64")
sizes = [int(codes[:, i].max()) + 1 for i in range(len(cats))]
nums = df[["holiday", "workingday", "temp", "hum", "windspeed", "day"]].to_numpy("float32")
y = df["bikers"].to_numpy("float32")

# hold out whole days, neighbouring hours are too much alike
days = df["day"].unique()
test_days = np.random.choice(days, size=len(days) // 5, replace=False)
te = df["day"].isin(test_days).to_numpy()
tr = ~te
mu, sd = nums[tr].mean(0), nums[tr].std(0)
nums = (nums - mu) / sd

Ctr, Cte = torch.from_numpy(codes[tr]), torch.from_numpy(codes[te])
Ntr, Nte = torch.from_numpy(nums[tr]), torch.from_numpy(nums[te])
ytr, yte = torch.from_numpy(y[tr]), torch.from_numpy(y[te])


class CountNet(nn.Module):
    def __init__(self, sizes, n_num, hidden=64):
        super().__init__()
        self.embs = nn.ModuleList(nn.Embedding(s, min(8, (s + 1) // 2)) for s in sizes)
        d = sum(e.embedding_dim for e in self.embs) + n_num
        self.fc1 = nn.Linear(d, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(hidden, 1)

    def forward(self, c, x):
        h = torch.cat([e(c[:, i]) for i, e in enumerate(self.embs)] + [x], 1)
        h = self.drop(F.relu(self.fc1(h)))
        h = F.relu(self.fc2(h))
        return self.out(h).squeeze(1)  # log of the rate


def poisson_deviance(y, rate):
    t = torch.where(y > 0, y * torch.log(y / rate), torch.zeros_like(y))
    return (2 * (t - y + rate)).mean().item()


model = CountNet(sizes, Ntr.shape[1])
with torch.no_grad():
    model.out.bias.fill_(ytr.mean().log())  # start at the mean count
criterion = nn.PoissonNLLLoss(log_input=True)
EPOCHS, BS = 30, 64
steps = EPOCHS * (len(ytr) // BS + 1)
opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)

for ep in range(EPOCHS):
    model.train()
    run = 0.0
    for idx in torch.randperm(len(ytr)).split(BS):
        opt.zero_grad()
        loss = criterion(model(Ctr[idx], Ntr[idx]), ytr[idx])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        opt.step()
        sched.step()
        run += loss.item() * len(idx)
    if ep % 5 == 4:
        print(f"{ep + 1:3d}  train nll {run / len(ytr):.3f}")

model.eval()
with torch.no_grad():
    rate = model(Cte, Nte).exp()
print("const deviance  %.2f" % poisson_deviance(yte, ytr.mean().expand_as(yte)))
print("test MAE        %.2f" % (rate - yte).abs().mean().item())
print("test deviance   %.2f" % poisson_deviance(yte, rate))
