import os
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class PairDataset(Dataset):
    """Random pairs of digit pictures; target is 1.0 when both show the same digit."""

    def __init__(self, images, labels, n_pairs):
        self.images, self.labels, self.n_pairs = images, labels, n_pairs
        self.by_class = {c: np.flatnonzero(labels == c) for c in np.unique(labels)}

    def __len__(self):
        return self.n_pairs

    def __getitem__(self, _):
        i = random.randrange(len(self.labels))
        same = random.random() < 0.5
        while True:
            j = int(random.choice(self.by_class[self.labels[i]])) if same else random.randrange(len(self.labels))
            if same or self.labels[j] != self.labels[i]:
                break
        return self.images[i], self.images[j], torch.tensor(float(self.labels[i] == self.labels[j]))


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                 nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten())
        self.fc = nn.Sequential(nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 8))

    def forward(self, a, b):
        return self.fc(self.cnn(a)), self.fc(self.cnn(b))


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, o1, o2, target):
        d = F.pairwise_distance(o1, o2)
        return torch.mean((1 - target) * d.pow(2) + target * torch.clamp(self.margin - d, min=0.0).pow(2))


data = load_digits()
images = torch.tensor(data.images / 16.0, dtype=torch.float32).unsqueeze(1)
order = np.random.permutation(len(images))
tr, te = order[:1200], order[1200:]
train_loader = DataLoader(PairDataset(images[tr], data.target[tr], 4000), batch_size=64, shuffle=True)

net = SiameseNetwork()
criterion = ContrastiveLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

for epoch in range(8):
    net.train()
    total = 0.0
    for img0, img1, label in train_loader:
        optimizer.zero_grad()
        o1, o2 = net(img0, img1)
        loss = criterion(o1, o2, label)
        loss.backward()
        optimizer.step()
        total += loss.item()
    print("Epoch %d  contrastive loss %.4f" % (epoch, total / len(train_loader)))

# nearest neighbour in embedding space against the enrolled (training) digits
net.eval()
with torch.no_grad():
    e_tr, e_te = net(images[tr], images[te])
nn_idx = torch.cdist(e_te, e_tr).argmin(1).numpy()
print("one-nearest-neighbour accuracy on new digits: %.3f" % (data.target[tr][nn_idx] == data.target[te]).mean())
