import argparse, os
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--per_step_batch", type=int, default=16)
parser.add_argument("--gradient_accumulation_steps", type=int, default=64)
parser.add_argument("--lr", type=float, default=1e-2)
args = parser.parse_args()

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


def heartbeat(n):
    """Toy beats: normal / premature / widened, with drift and noise."""
    t = np.linspace(0, 1, 96)
    X, y = [], np.random.randint(0, 3, n)
    for c in y:
        mu = 0.5 + 0.05 * np.random.randn()
        width = 0.02 if c != 2 else 0.032
        s = 1.0 * np.exp(-((t - mu) / width) ** 2)
        s += 0.25 * np.exp(-((t - mu - (0.25 if c != 1 else 0.17)) / 0.05) ** 2)
        s += 0.15 * np.exp(-((t - mu + 0.17) / 0.03) ** 2) * (c != 1)
        s += 0.2 * np.random.randn() * t + 0.08 * np.random.randn(96)
        X.append(s)
    X = np.array(X, np.float32)
    return torch.tensor((X - X.mean(1, keepdims=True)) / X.std(1, keepdims=True))[:, None], torch.tensor(y)


train_x, train_y = heartbeat(960)
val_x, val_y = heartbeat(600)
train_dataloader = DataLoader(TensorDataset(train_x, train_y), batch_size=args.per_step_batch, shuffle=True)

model = nn.Sequential(
    nn.Conv1d(1, 16, 7, stride=2, padding=3), nn.ReLU(),
    nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.ReLU(),
    nn.Conv1d(32, 32, 5, stride=2, padding=2), nn.ReLU(),
    nn.Flatten(), nn.Linear(32 * 12, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(args.epochs):
    model.train()
    model.zero_grad()
    epoch_loss = 0.0
    for step, (xb, yb) in enumerate(train_dataloader):
        loss = loss_fn(model(xb), yb)
        epoch_loss += loss.item()
        loss = loss / args.gradient_accumulation_steps
        loss.backward()
        if (step + 1) % args.gradient_accumulation_steps == 0 or step + 1 == len(train_dataloader):
            optimizer.step()
            model.zero_grad()
    if (epoch + 1) % 5 == 0:
        model.eval()
        with torch.no_grad():
            acc = (model(val_x).argmax(1) == val_y).float().mean().item()
        print(f"epoch {epoch + 1}: loss {epoch_loss / len(train_dataloader):.4f}, val acc {acc:.4f}")
