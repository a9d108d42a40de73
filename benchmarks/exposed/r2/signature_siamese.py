import os, random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class Config:
    train_batch_size = 64
    train_number_epochs = 16
    margin = 2.0


class SiameseDataset(Dataset):
    """Draws a random pair, half of them of the same class (0 = same, 1 = different)."""

    def __init__(self, images, labels, length):
        self.images, self.labels, self.length = images, labels, length
        self.by_class = {c: np.where(labels == c)[0] for c in np.unique(labels)}

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        i = random.randrange(len(self.images))
        same = random.randint(0, 1)
        if same:
            j = int(random.choice(self.by_class[self.labels[i]]))
        else:
            j = random.randrange(len(self.images))
            while self.labels[j] == self.labels[i]:
                j = random.randrange(len(self.images))
        return self.images[i], self.images[j], np.float32(self.labels[i] != self.labels[j])


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Sequential(nn.Linear(32 * 4, 64), nn.ReLU(), nn.Linear(64, 16))

    def forward_once(self, x):
        return self.fc(self.cnn(x).flatten(1))

    def forward(self, a, b):
        return self.forward_once(a), self.forward_once(b)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super().__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        euclidean_distance = F.pairwise_distance(output1, output2, keepdim=True)
        loss = (1 - label) * torch.pow(euclidean_distance, 2) + \
            label * torch.pow(torch.clamp(self.margin - euclidean_distance, min=0.0), 2)
        return torch.mean(loss)


digits = load_digits()
perm = np.random.permutation(len(digits.target))
images = (digits.images[perm] / 16.0).astype(np.float32)[:, None]
labels = digits.target[perm]
n_train = 1200
train_ds = SiameseDataset(images[:n_train], labels[:n_train], 2048)
test_ds = SiameseDataset(images[n_train:], labels[n_train:], 1500)
train_loader = DataLoader(train_ds, batch_size=Config.train_batch_size)
test_pairs = list(DataLoader(test_ds, batch_size=250))

net = SiameseNetwork()
criterion = ContrastiveLoss(Config.margin)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

for epoch in range(Config.train_number_epochs):
    net.train()
    losses = []
    for img0, img1, label in train_loader:
        optimizer.zero_grad()
        out0, out1 = net(img0, img1)
        loss_contrastive = criterion(out0, out1, label)
        loss_contrastive.backward()
        optimizer.step()
        losses.append(loss_contrastive.item())
    if epoch % 4 == 0:
        print("Epoch number {}  loss {:.4f}".format(epoch, np.mean(losses)))

net.eval()
dist, truth = [], []
with torch.no_grad():
    for img0, img1, label in test_pairs:
        a, b = net(img0, img1)
        dist.append(F.pairwise_distance(a, b))
        truth.append(label)
dist, truth = torch.cat(dist).numpy(), torch.cat(truth).numpy()
acc = ((dist > Config.margin / 2) == truth).mean()
print(f"verification accuracy {acc:.4f}  AUC {roc_auc_score(truth, dist):.4f}")
