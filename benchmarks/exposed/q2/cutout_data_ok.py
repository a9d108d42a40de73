import gzip, os, random
import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class FashionDataset(Dataset):
    """Fashion-MNIST kept in memory, with optional random crop-out of a square."""

    def __init__(self, split, n, cutout=0):
        base = os.path.join(os.environ["DATA"], "fashion-mnist")
        with gzip.open(os.path.join(base, f"{split}-images-idx3-ubyte.gz")) as f:
            pix = np.frombuffer(f.read(16 + n * 784), np.uint8, offset=16)
        with gzip.open(os.path.join(base, f"{split}-labels-idx1-ubyte.gz")) as f:
            lab = np.frombuffer(f.read(8 + n), np.uint8, offset=8)
        self.images = pix.reshape(n, 28, 28).astype(np.float32) / 255.0
        self.targets = lab.astype(np.int64)
        self.cutout = cutout

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        img, target = self.images[index], int(self.targets[index])
        if self.cutout:
            img = self._cutout(img.copy())
        return torch.tensor(img).unsqueeze(0), target

    def _cutout(self, img):
        size = self.cutout
        r = random.randint(0, 28 - size)
        c = random.randint(0, 28 - size)
        img[r:r + size, c:c + size] = 0.0
        return img


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, stride=2)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, stride=2)
        self.fc1 = nn.Linear(32 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


def train_one_epoch(model, loader, criterion, optimizer):
    model.train()
    total, correct = 0.0, 0
    for images, targets in loader:
        optimizer.zero_grad()
        out = model(images)
        loss = criterion(out, targets)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        correct += (out.argmax(1) == targets).sum().item()
    return total / len(loader.dataset), correct / len(loader.dataset)


@torch.no_grad()
def test(model, loader):
    model.eval()
    return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def main():
    train_loader = DataLoader(FashionDataset("train", 3000, cutout=8), batch_size=50, shuffle=True)
    test_loader = DataLoader(FashionDataset("t10k", 2000), batch_size=500)
    model = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(12):
        loss, acc = train_one_epoch(model, train_loader, criterion, optimizer)
        print(f"epoch {epoch + 1:2d} | train loss {loss:.3f} acc {acc:.3f} | test acc {test(model, test_loader):.3f}")


if __name__ == "__main__":
    main()
