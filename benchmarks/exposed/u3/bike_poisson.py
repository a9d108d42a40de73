import os, random
import numpy as np, pandas as pd
import torch, torch.nn as nn

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

EPOCHS = 25
MAX_LR = 6e-3
WIDTH = 96

df = pd.read_csv(os.path.join(os.environ['DATA'], 'bikeshare.csv'))
df = df.drop(columns=['casual', 'registered'])      # these two add up to the target
week = (df.day - 1) // 7
held = week.isin(np.random.permutation(week.unique())[:10]).values   # whole weeks are left out

cat_cols = ['hr', 'weekday', 'weathersit', 'workingday', 'holiday']
codes = np.stack([df[c].astype('category').cat.codes.values for c in cat_cols], 1)
cards = [int(codes[:, j].max()) + 1 for j in range(len(cat_cols))]
num = df[['temp', 'atemp', 'hum', 'windspeed', 'day']].values.astype('float32')
num = (num - num[~held].mean(0)) / num[~held].std(0)
C, Z = torch.tensor(codes, dtype=torch.long), torch.tensor(num, dtype=torch.float32)
Y = torch.tensor(df.bikers.values, dtype=torch.float32)
tr, te = torch.tensor(np.where(~held)[0]), torch.tensor(np.where(held)[0])


class Rate(nn.Module):
    """log of the hourly rate"""
    def __init__(self):
        super().__init__()
        self.emb = nn.ModuleList([nn.Embedding(k, min(8, k)) for k in cards])
        d = sum(min(8, k) for k in cards) + Z.shape[1]
        self.body = nn.Sequential(nn.Linear(d, WIDTH), nn.GELU(), nn.Dropout(.1),
                                  nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(.1))
        self.out = nn.Linear(WIDTH, 1)
        nn.init.constant_(self.out.bias, Y[tr].mean().log().item())   # start from the mean rate

    def forward(self, c, z):
        e = [m(c[:, j]) for j, m in enumerate(self.emb)]
        return self.out(self.body(torch.cat(e + [z], 1))).squeeze(-1)


def d2(y, mu, base):
    dev = lambda m: (2 * (torch.special.xlogy(y, y / m) - y + m)).mean()
    return (1 - dev(mu) / dev(base)).item()


net = Rate()
nll = nn.PoissonNLLLoss(log_input=True)
B = 128
opt = torch.optim.AdamW(net.parameters(), lr=MAX_LR, weight_decay=.05)
sch = torch.optim.lr_scheduler.OneCycleLR(opt, MAX_LR, total_steps=EPOCHS * (len(tr) // B + 1))
for ep in range(EPOCHS):
    net.train()
    tot = 0.
    for b in torch.split(tr[torch.randperm(len(tr))], B):
        opt.zero_grad(set_to_none=True)
        l = nll(net(C[b], Z[b]), Y[b])
        l.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 50.)
        opt.step(); sch.step()
        tot += l.item() * len(b)
    if ep % 4 == 0 or ep == EPOCHS - 1:
        print(f'epoch {ep:2d}  poisson nll {tot / len(tr):9.3f}')
net.eval()
with torch.no_grad():
    mu = net(C[te], Z[te]).exp()
    ss = 1 - ((Y[te] - mu) ** 2).sum() / ((Y[te] - Y[te].mean()) ** 2).sum()
print(f'held-out weeks: R2 {ss:.4f}  explained deviance {d2(Y[te], mu, Y[tr].mean()):.4f}')
