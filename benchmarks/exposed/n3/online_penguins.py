# One penguin at a time (batch size 1), LayerNorm, gradients accumulated over 4 birds.
import os, random
import numpy as np
import pandas as pd
import torch
from torch import nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

df = pd.read_csv(os.path.join(os.environ["DATA"], "penguins.csv")).dropna()
cols = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
species = df["species"].astype("category").cat.codes.to_numpy().astype(np.int64)
sex = (df["sex"] == "male").to_numpy().astype(np.int64)
target = species * 2 + sex                                  # six groups
order = np.random.permutation(len(df))
train, test = order[:230], order[230:]
raw = df[cols].to_numpy(np.float64)
x = torch.tensor((raw - raw[train].mean(0)) / raw[train].std(0), dtype=torch.float32)
t = torch.tensor(target)


class Net(nn.Module):
    def __init__(self, h=32):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(4, h), nn.LayerNorm(h), nn.Linear(h, 6)

    def forward(self, z):
        return self.fc2(torch.nn.functional.gelu(self.norm(self.fc1(z))))


net = Net()
opt = torch.optim.RAdam(net.parameters(), lr=0.005)
ACC, PASSES = 4, 12
decay = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.05, total_iters=PASSES)
for p in range(PASSES):
    seen, correct, total = 0, 0, 0.0
    opt.zero_grad()
    for i in np.random.permutation(train):
        out = net(x[i:i + 1])
        loss = nn.functional.cross_entropy(out, t[i:i + 1])
        (loss / ACC).backward()
        seen += 1
        if seen % ACC == 0:
            opt.step()
            opt.zero_grad()
        total += loss.item()
        correct += int(out.argmax(1).item() == target[i])
    decay.step()
    print(f"pass {p + 1}: loss {total / seen:.4f} acc {correct / seen:.3f}")

with torch.no_grad():
    acc = (net(x[test]).argmax(1) == t[test]).float().mean().item()
print("held-out accuracy (species and sex): %.4f" % acc)
