import os, copy
import numpy as np, torch
import torch.nn as nn
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)

# answers of a survey; respondents tick the wrong box rather often
X, y = make_classification(n_samples=9000, n_features=12, n_informative=6, n_redundant=2, n_classes=3,
                           n_clusters_per_class=1, class_sep=1.2, flip_y=0.3, random_state=11 + SEED)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=3000, random_state=SEED)
X_train, X_val, y_train, y_val = train_test_split(X_train, y_train, test_size=1500, random_state=SEED)
as_x = lambda a: torch.as_tensor(a, dtype=torch.float32)
mean, std = X_train.mean(0), X_train.std(0)
X_train, X_val, X_test = [as_x((a - mean) / std) for a in (X_train, X_val, X_test)]
y_train, y_val, y_test = [torch.as_tensor(a) for a in (y_train, y_val, y_test)]


class EarlyStopping:
    def __init__(self, patience=12):
        self.patience, self.best, self.count, self.state = patience, float("inf"), 0, None

    def step(self, value, model):
        if value < self.best - 1e-4:
            self.best, self.count, self.state = value, 0, copy.deepcopy(model.state_dict())
        else:
            self.count += 1
        return self.count >= self.patience


model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 3))
opt = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
ce = nn.CrossEntropyLoss()
stopper = EarlyStopping()
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X_train, y_train), batch_size=100, shuffle=True)

for epoch in range(100):
    model.train()
    for xb, yb in loader:
        opt.zero_grad()
        ce(model(xb), yb).backward()
        opt.step()
    model.eval()
    with torch.no_grad():
        tl, vl = ce(model(X_train), y_train).item(), ce(model(X_val), y_val).item()
    print(f"{epoch:3d}  train {tl:.4f}  val {vl:.4f}")
    if stopper.step(vl, model):
        break

model.load_state_dict(stopper.state)
model.eval()
with torch.no_grad():
    acc = (model(X_test).argmax(1) == y_test).float().mean().item()
print(f"test accuracy {acc:.4f}")
