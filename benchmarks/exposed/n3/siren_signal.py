# Implicit representation of a 2-D field by a sine network (SIREN); fitted on 3000 scattered points, judged on others.
import math, os
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)


def field(p):
    x, y = p[:, 0], p[:, 1]
    return (torch.sin(6 * x + 2 * y) * torch.cos(5 * y) + 0.5 * torch.exp(-8 * ((x - 0.3) ** 2 + (y + 0.2) ** 2))
            + 0.3 * torch.sin(9 * (x ** 2 + y ** 2)))[:, None]


class Sine(nn.Module):
    def __init__(self, i, o, w0=10.0, first=False):
        super().__init__()
        self.lin, self.w0 = nn.Linear(i, o), w0
        bound = 1 / i if first else math.sqrt(6 / i) / w0
        nn.init.uniform_(self.lin.weight, -bound, bound)

    def forward(self, x):
        return torch.sin(self.w0 * self.lin(x))


W = 64
net = nn.Sequential(Sine(2, W, first=True), Sine(W, W), Sine(W, W), nn.Linear(W, 1))
nn.init.uniform_(net[3].weight, -math.sqrt(6 / W) / 10, math.sqrt(6 / W) / 10)

pts = torch.rand(3000, 2) * 2 - 1
val = field(pts) + 0.05 * torch.randn(3000, 1)
grid = torch.rand(8000, 2) * 2 - 1

opt = torch.optim.Adam(net.parameters(), lr=4e-4)
steps = 1500
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
for it in range(steps):
    b = torch.randint(0, 3000, (512,))
    loss = ((net(pts[b]) - val[b]) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    if it % 150 == 0:
        print(f"{it:5d} mse {loss.item():.5f}")

with torch.no_grad():
    rmse = ((net(grid) - field(grid)) ** 2).mean().sqrt().item()
print(f"field std {field(grid).std().item():.3f}, rmse against the clean field {rmse:.4f}")
