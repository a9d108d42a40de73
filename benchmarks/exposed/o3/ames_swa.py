import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.optim.swa_utils import AveragedModel, SWALR
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

# two targets at once: log sale price, and whether the house has a garage of two cars or more
df = pd.read_csv(os.path.join(os.environ["DATA"], "ames.csv")).sample(frac=1, random_state=SEED).reset_index(drop=True)
logp = np.log(df["price"].to_numpy(float))
two = (df["Garage.Cars"].fillna(0) >= 2).to_numpy(float)
df = df.drop(columns=["Order", "PID", "price", "Garage.Cars", "Garage.Area"])
num = df.select_dtypes("number")
num = num.fillna(num[:2000].median())
num = np.sign(num) * np.log1p(num.abs())
num = ((num - num[:2000].mean()) / (num[:2000].std() + 1e-6)).clip(-4, 4)
cat = pd.get_dummies(df.select_dtypes(exclude="number").fillna("none"), dtype=float)
cat = cat.loc[:, cat[:2000].sum() >= 15]
X = torch.tensor(np.hstack([num.to_numpy(), cat.to_numpy()]), dtype=torch.float32)
m, s = logp[:2000].mean(), logp[:2000].std()
Y = torch.tensor(np.stack([(logp - m) / s, two], 1), dtype=torch.float32)
print(X.shape[1], "columns")


class TwoHeads(nn.Module):
    def __init__(self, d, h=128):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(d, h), nn.LayerNorm(h), nn.ReLU(), nn.Dropout(0.3), nn.Linear(h, h), nn.ReLU(), nn.Dropout(0.3))
        self.price, self.garage = nn.Linear(h, 1), nn.Linear(h, 1)
        self.logvar = nn.Parameter(torch.zeros(2))          # task weights after Kendall et al.

    def forward(self, x):
        z = self.trunk(x)
        return self.price(z).squeeze(1), self.garage(z).squeeze(1)


model = TwoHeads(X.shape[1])
loader = DataLoader(TensorDataset(X[:2000], Y[:2000]), batch_size=64, shuffle=True)
opt = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=2e-2)
cyc = torch.optim.lr_scheduler.CyclicLR(opt, 3e-4, 3e-3, step_size_up=64, cycle_momentum=False)
swa, swa_sched = AveragedModel(model), SWALR(opt, swa_lr=8e-4, anneal_epochs=2)
EPOCHS, START = 40, 24


def evaluate(net):
    net.eval()
    with torch.no_grad():
        p, g = net(X[2000:])
    r = p - Y[2000:, 0]
    return (r ** 2).mean().sqrt().item() * s, ((g > 0) == (Y[2000:, 1] > 0)).float().mean().item()


for epoch in range(EPOCHS):
    model.train()
    seen = 0.0
    for xb, yb in loader:
        p, g = model(xb)
        parts = torch.stack([nn.functional.mse_loss(p, yb[:, 0]), nn.functional.binary_cross_entropy_with_logits(g, yb[:, 1])])
        loss = (parts * torch.exp(-model.logvar) + 0.5 * model.logvar).sum()
        opt.zero_grad()
        loss.backward()
        opt.step()
        if epoch < START:
            cyc.step()
        seen += loss.item()
    if epoch >= START:
        swa.update_parameters(model)
        swa_sched.step()
    if epoch % 8 == 7:
        a, b = evaluate(model)
        print(f"epoch {epoch + 1}: loss {seen / len(loader):+.3f}  log price rmse {a:.4f}  garage acc {b:.3f}")
a, b = evaluate(swa)
print("averaged weights: garage accuracy %.4f, log price rmse %.4f" % (b, a))
