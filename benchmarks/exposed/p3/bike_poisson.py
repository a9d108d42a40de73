# Hourly bike rentals, 2011: Poisson regression with a small net
import os
import random
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class Hours(Dataset):
    def __init__(self, x, h, y):
        self.x, self.h, self.y = torch.tensor(x), torch.tensor(h), torch.tensor(y)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.h[i], self.y[i]


class RateNet(nn.Module):
    def __init__(self, n_in, hidden=64):
        super().__init__()
        self.hour = nn.Embedding(24 * 2, 8)       # hour x (working day or not)
        self.body = nn.Sequential(
            nn.Linear(n_in + 8, hidden), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 1))

    def forward(self, x, h):
        return self.body(torch.cat([x, self.hour(h)], dim=1)).squeeze(1)   # log of the rate


df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
angle = 2 * np.pi * df["day"] / 365
feats = pd.DataFrame({
    "temp": df.temp, "atemp": df.atemp, "hum": df.hum, "wind": df.windspeed, "holiday": df.holiday,
    "sin": np.sin(angle), "cos": np.cos(angle), "t": df.day / 365,
    "cloudy": df.weathersit.eq("cloudy/misty"), "rain": df.weathersit.str.contains("rain"),
})
for d in range(7):
    feats[f"wd{d}"] = df.weekday.eq(d)
x = feats.to_numpy(dtype=np.float32)
h = (df.hr + 24 * df.workingday).to_numpy()
y = df.bikers.to_numpy(dtype=np.float32)

# whole days go to one side or the other
days = df.day.unique()
np.random.shuffle(days)
test_rows = df.day.isin(days[:73]).to_numpy()
mu, sd = x[~test_rows].mean(0), x[~test_rows].std(0)
x = (x - mu) / sd

train_dl = DataLoader(Hours(x[~test_rows], h[~test_rows], y[~test_rows]), batch_size=128, shuffle=True)
test = Hours(x[test_rows], h[test_rows], y[test_rows])

model = RateNet(x.shape[1])
with torch.no_grad():                              # start from the mean count
    model.body[-1].bias.fill_(float(np.log(y[~test_rows].mean())))
criterion = nn.PoissonNLLLoss(log_input=True)
EPOCHS = 25
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=6e-3, total_steps=EPOCHS * len(train_dl))

for epoch in range(EPOCHS):
    model.train()
    s = 0.0
    for xb, hb, yb in train_dl:
        opt.zero_grad()
        loss = criterion(model(xb, hb), yb)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        opt.step()
        sched.step()
        s += loss.item()
    model.eval()
    with torch.no_grad():
        rate = model(test.x, test.h).exp()
        mae = (rate - test.y).abs().mean().item()
    print(f"epoch {epoch+1:2d}: train nll {s/len(train_dl):9.2f}   test MAE {mae:.2f}")

ss = ((rate - test.y) ** 2).sum() / ((test.y - test.y.mean()) ** 2).sum()
pois = criterion(model(test.x, test.h), test.y).item()
print(f"test nll {pois:.2f}  MAE {mae:.2f}  R2 {1 - ss.item():.3f}")
