import os, gzip, random
import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

MEAN, STD = 0.286, 0.353


class FashionDataset(Dataset):
    """Keeps the images in memory as float arrays and prepares them on the fly."""

    def __init__(self, split, limit, train=False):
        base = os.path.join(os.environ["DATA"], "fashion-mnist", split)
        with gzip.open(base + "-images-idx3-ubyte.gz") as f:
            raw = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28)[:limit]
        with gzip.open(base + "-labels-idx1-ubyte.gz") as f:
            self.labels = np.frombuffer(f.read(), np.uint8, offset=8)[:limit].astype(np.int64)
        self.images = raw.astype(np.float32) / 255.0
        self.train = train

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        img = self.images[i].copy()
        img -= MEAN
        img /= STD
        if self.train and random.random() < 0.5:
            img = img[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(img)).unsqueeze(0), self.labels[i]


def run_epoch(model, loader, optimizer=None):
    model.train(optimizer is not None)
    total, correct, count = 0.0, 0, 0
    with torch.set_grad_enabled(optimizer is not None):
        for x, y in loader:
            out = model(x)
            loss = nn.functional.cross_entropy(out, y)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(y)
            correct += (out.argmax(1) == y).sum().item()
            count += len(y)
    return total / count, correct / count


train_dl = DataLoader(FashionDataset("train", 6000, train=True), batch_size=64, shuffle=True)
test_dl = DataLoader(FashionDataset("t10k", 2000), batch_size=250)

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(9):
    tl, ta = run_epoch(model, train_dl, optimizer)
    print(f"epoch {epoch}: loss {tl:.3f}, train acc {ta:.3f}")
print("test loss %.3f, test acc %.4f" % run_epoch(model, test_dl))
