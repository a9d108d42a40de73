import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

# Same digit or not? Siamese network on the 8x8 digits.


class Siamese(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(12 * 16, 96), nn.ReLU(), nn.Linear(96, dim))
        self.score = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 1))

    @torch.no_grad()
    def embed(self, x):
        """Embeddings of a batch of images, also used to build the gallery below."""
        return self.body(x)

    def forward(self, a, b):
        return self.score((self.embed(a) - self.embed(b)).abs()).squeeze(1)


def draw_pairs(y, n, rng):
    """Half of the pairs show the same digit."""
    order = np.argsort(y, kind="stable")
    count = np.bincount(y, minlength=10)
    first = np.cumsum(count) - count
    a = rng.integers(0, len(y), n)
    same = rng.random(n) < 0.5
    digit = np.where(same, y[a], (y[a] + rng.integers(1, 10, n)) % 10)
    b = order[first[digit] + (rng.random(n) * count[digit]).astype(int)]
    return torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(same.astype(np.float32))


def main():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)

    d = load_digits()
    xtr, xte, ytr, yte = train_test_split(d.images / 16.0, d.target, test_size=0.3, stratify=d.target, random_state=seed)
    xtr = torch.tensor(xtr, dtype=torch.float32).unsqueeze(1)
    xte = torch.tensor(xte, dtype=torch.float32).unsqueeze(1)

    net = Siamese()
    opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
    bce = nn.BCEWithLogitsLoss()
    for step in range(1, 1501):
        a, b, s = draw_pairs(ytr, 96, rng)
        loss = bce(net(xtr[a], xtr[b]), s)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 250 == 0:
            print("step", step, "loss", round(loss.item(), 4))

    net.eval()
    with torch.no_grad():
        a, b, s = draw_pairs(yte, 4000, rng)
        acc = ((net(xte[a], xte[b]) > 0).float() == s).float().mean().item()
        gallery, probe = net.embed(xtr), net.embed(xte)
        near = torch.cdist(probe, gallery).argmin(1).numpy()
    print("nearest neighbour accuracy", round(float((ytr[near] == yte).mean()), 4))
    print("pair accuracy on new digits", round(acc, 4))


if __name__ == "__main__":
    main()
