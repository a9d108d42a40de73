"""Insurance claim sizes have wild outliers; model them with a Student-t likelihood whose scale and tail index are learned."""
import math
import os
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def simulate(n, rng):
    x = rng.normal(size=(n, 10))
    f = 2.0 * np.sin(1.3 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.8 * np.abs(x[:, 3]) - 0.5 * x[:, 4]
    return x.astype(np.float32), (f + 0.35 * rng.standard_t(1.5, size=n)).astype(np.float32), f.astype(np.float32)


class Claims(Dataset):
    def __init__(self, n, rng):
        self.x, self.y, self.f = simulate(n, rng)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class StudentNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 1))
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.raw_df = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.body(x).squeeze(-1)

    def dist(self, x):
        return torch.distributions.StudentT(0.5 + nn.functional.softplus(self.raw_df), self(x), self.log_scale.exp())


rng = np.random.default_rng(SEED)
train, test = Claims(4000, rng), Claims(2000, rng)
print("target range in training: %.1f .. %.1f" % (train.y.min(), train.y.max()))
loader = DataLoader(train, batch_size=32, shuffle=True)
model = StudentNet()
EPOCHS, ACCUM = 24, 4
opt = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for epoch in range(EPOCHS):
    total, n = 0.0, 0
    opt.zero_grad()
    for k, (xb, yb) in enumerate(loader, 1):
        loss = -model.dist(xb).log_prob(yb).mean()
        (loss / ACCUM).backward()
        total += loss.item() * len(xb); n += len(xb)
        if k % ACCUM == 0 or k == len(loader):
            opt.step()
            opt.zero_grad()
    sched.step()
    if epoch % 4 == 3:
        print(f"{epoch + 1:3d} nll {total / n:.4f} scale {model.log_scale.exp().item():.3f} df {0.5 + nn.functional.softplus(model.raw_df).item():.2f}")
with torch.no_grad():
    pred = model(torch.from_numpy(test.x))
    nll = -model.dist(torch.from_numpy(test.x)).log_prob(torch.from_numpy(test.y)).mean().item()
print("median absolute error %.4f, RMSE to the true centre %.4f" % (np.median(np.abs(pred.numpy() - test.y)), np.sqrt(np.mean((pred.numpy() - test.f) ** 2))))
print("test nll %.4f" % nll)
