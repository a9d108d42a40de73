# Learn the forward kinematics of a planar 3-joint arm from recorded samples.
import os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

LINKS = np.array([1.0, 0.7, 0.4])


def sample(n):
    q = np.random.uniform(-np.pi, np.pi, size=(n, 3))
    a = np.cumsum(q, axis=1)
    pos = np.stack([(LINKS * np.cos(a)).sum(1), (LINKS * np.sin(a)).sum(1)], axis=1)
    pos += np.random.normal(0, 0.01, pos.shape)
    return torch.tensor(q, dtype=torch.float32), torch.tensor(pos, dtype=torch.float32)


class ArmModel(nn.Module):
    def __init__(self, hidden=96):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(3, hidden), nn.Tanh(),
            nn.Linear(hidden, hidden), nn.Tanh(),
        )
        self.head = nn.Linear(hidden, 2)
        self.code = None

    def forward(self, q):
        h = self.encoder(q)
        # kept for plotting the latent space later
        self.code = torch.tensor(h.tolist())
        return self.head(self.code)


train_q, train_p = sample(6000)
val_q, val_p = sample(1500)

model = ArmModel()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)
loss_fn = nn.SmoothL1Loss(beta=0.1)

for epoch in range(60):
    model.train()
    perm = torch.randperm(len(train_q))
    epoch_loss = 0.0
    for start in range(0, len(perm), 128):
        sel = perm[start:start + 128]
        optimizer.zero_grad()
        loss = loss_fn(model(train_q[sel]), train_p[sel])
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
    scheduler.step()
    if (epoch + 1) % 10 == 0:
        model.eval()
        with torch.no_grad():
            err = (model(val_q) - val_p).norm(dim=1)
        print(f"epoch {epoch + 1}: loss {epoch_loss:.3f}  mean position error {err.mean():.4f}  p95 {err.quantile(0.95):.4f}")
