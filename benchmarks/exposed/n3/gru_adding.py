import os
import torch
import torch.nn as nn

# The adding problem: a sequence of (value, flag); the answer is the sum of the two flagged values.
SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
T = 30


def batch(n):
    v = torch.rand(n, T)
    m = torch.zeros(n, T)
    first = torch.randint(0, T // 2, (n,))
    second = torch.randint(T // 2, T, (n,))
    rows = torch.arange(n)
    m[rows, first] = 1
    m[rows, second] = 1
    return torch.stack([v, m], 2), (v * m).sum(1)


class Adder(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.rnn = nn.GRU(2, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h[:, -1]).squeeze(-1)


model = Adder()
opt = torch.optim.Adam(model.parameters(), lr=2e-2)
STEPS = 1000
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=2e-2, total_steps=STEPS, pct_start=0.15)
xt, yt = batch(2000)
print("variance of the answer", yt.var().item())

running = 0.0
for step in range(1, STEPS + 1):
    x, y = batch(64)
    loss = nn.functional.mse_loss(model(x), y)
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    running += loss.item()
    if step % 100 == 0:
        print(f"step {step}: mse {running / 100:.5f}")
        running = 0.0

model.eval()
with torch.no_grad():
    print("test mse %.6f" % nn.functional.mse_loss(model(xt), yt).item())
