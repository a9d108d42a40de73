import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# planar arm with three joints: angles -> position of the tip
L = np.array([1.0, 0.7, 0.4])
q = np.random.uniform(-1.6, 1.6, size=(4000, 3))
c = np.cumsum(q, axis=1)
tip = np.stack([(L * np.cos(c)).sum(1), (L * np.sin(c)).sum(1)], axis=1)
tip += 0.01 * np.random.randn(*tip.shape)
q, tip = torch.tensor(q, dtype=torch.float32), torch.tensor(tip, dtype=torch.float32)

train_dl = DataLoader(TensorDataset(q[:3000], tip[:3000]), batch_size=50, shuffle=True)
val_q, val_tip = q[3000:], tip[3000:]


class ArmNet(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.l1 = nn.Linear(3, hidden)
        self.l2 = nn.Linear(hidden, hidden)
        self.l3 = nn.Linear(hidden, 2)

    def forward(self, x):
        x = self.l1(x)
        x = F.relu(x)
        x = self.l2(x)
        x = F.relu(x)
        return self.l3(x)


net = ArmNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(40):
    for a, p in train_dl:
        loss = F.mse_loss(net(a), p)
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 5 == 4:
        with torch.no_grad():
            err = (net(val_q) - val_tip).norm(dim=1).mean().item()
        print(f"epoch {epoch + 1} loss {loss.item():.4f} mean tip error {err:.4f}")

with torch.no_grad():
    print("final tip error %.4f" % (net(val_q) - val_tip).norm(dim=1).mean().item())
