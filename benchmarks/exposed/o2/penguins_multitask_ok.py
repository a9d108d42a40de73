import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, random_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class Penguins(Dataset):
    def __init__(self):
        df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
        x = df[["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]].values
        self.x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
        self.island = torch.tensor(df["island"].astype("category").cat.codes.values, dtype=torch.long)
        self.species = torch.tensor(df["species"].astype("category").cat.codes.values, dtype=torch.long)
        self.sex = torch.tensor((df["sex"] == "male").values.astype(np.int64))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], {"species": self.species[i], "island": self.island[i], "sex": self.sex[i]}


class MultiHead(nn.Module):
    def __init__(self, tasks, width=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.heads = nn.ModuleDict({t: nn.Linear(width, k) for t, k in tasks.items()})

    def forward(self, x):
        h = self.trunk(x)
        return {t: head(h) for t, head in self.heads.items()}


tasks = {"species": 3, "island": 3, "sex": 2}
data = Penguins()
train_set, test_set = random_split(data, [233, 100], generator=torch.Generator().manual_seed(SEED))
train_loader = DataLoader(train_set, batch_size=16, shuffle=True)
test_loader = DataLoader(test_set, batch_size=100)

model = MultiHead(tasks)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

for epoch in range(60):
    model.train()
    epoch_loss = 0.0
    for x, targets in train_loader:
        outputs = model(x)
        loss = 0.0
        for t in tasks:
            loss += criterion(outputs[t], targets[t])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
    if (epoch + 1) % 10 == 0:
        print(f"epoch {epoch + 1}: loss {epoch_loss / len(train_loader):.4f}")

model.eval()
with torch.no_grad():
    x, targets = next(iter(test_loader))
    outputs = model(x)
    accs = {t: (outputs[t].argmax(1) == targets[t]).float().mean().item() for t in tasks}
print({t: round(a, 3) for t, a in accs.items()})
print("final mean accuracy %.4f" % np.mean(list(accs.values())))
