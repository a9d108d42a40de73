"""The adding problem (Hochreiter & Schmidhuber): add the two marked numbers of a long sequence."""
import os
import numpy as np
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
T = 20
ITERS = 900
LR = 1e-2
HID = 32


def batch(n, t=T):
    v = torch.rand(n, t)
    m = torch.zeros(n, t)
    first = torch.randint(0, t // 2, (n,))
    second = torch.randint(t // 2, t, (n,))
    m[torch.arange(n), first] = 1
    m[torch.arange(n), second] = 1
    return torch.stack([v, m], 2), (v * m).sum(1)


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, HID, batch_first=True)
        self.out = nn.Linear(HID, 1)

    def forward(self, x):
        _, h = self.rnn(x)
        return self.out(h[-1]).squeeze(-1)


net = Adder()
opt = torch.optim.Adam(net.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=ITERS, pct_start=0.1)
xt, yt = batch(2000)
print("always answering 1.0 gives", round(((yt - 1) ** 2).mean().item(), 4))
avg = None
for it in range(1, ITERS + 1):
    x, y = batch(50)
    loss = nn.functional.mse_loss(net(x), y)
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    sched.step()
    avg = loss.item() if avg is None else 0.98 * avg + 0.02 * loss.item()
    if it % 100 == 0:
        print(f"{it:5d}  running mse {avg:.5f}")
with torch.no_grad():
    p = net(xt)
mse = ((p - yt) ** 2).mean()
print(f"test: mse {mse:.5f}   within 0.1 {((p - yt).abs() < 0.1).float().mean():.3f}   R2 {1 - mse / yt.var():.4f}")
