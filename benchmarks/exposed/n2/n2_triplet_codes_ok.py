import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

data = load_digits()
idx = np.random.permutation(len(data.target))
images = (data.data[idx] / 16.0).astype(np.float32)
target = data.target[idx]
# rotate pixels into a random basis with noise, so raw distances are of less use
mix = np.random.randn(64, 96).astype(np.float32) / 8
feats = images @ mix + np.random.randn(len(images), 96).astype(np.float32) * 0.2
n_train = 1200
x_train, y_train, x_test, y_test = feats[:n_train], target[:n_train], feats[n_train:], target[n_train:]


class TripletDataset(Dataset):
    def __init__(self, x, y):
        self.x, self.y = torch.from_numpy(x), y
        self.by_class = {c: np.where(y == c)[0] for c in np.unique(y)}

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        c = self.y[i]
        pos = np.random.choice(self.by_class[c])
        other = np.random.choice([k for k in self.by_class if k != c])
        neg = np.random.choice(self.by_class[other])
        return self.x[i], self.x[pos], self.x[neg]


class Encoder(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(96, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 16))


encoder = Encoder()
criterion = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: 1.0 - F.cosine_similarity(a, b), margin=0.5)
optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
loader = DataLoader(TripletDataset(x_train, y_train), batch_size=64, shuffle=True)


def retrieval_score():
    encoder.eval()
    with torch.no_grad():
        a = F.normalize(encoder(torch.from_numpy(x_train)), dim=1).numpy()
        b = F.normalize(encoder(torch.from_numpy(x_test)), dim=1).numpy()
    knn = KNeighborsClassifier(5).fit(a, y_train)
    return knn.score(b, y_test)


print("before training:", retrieval_score())
for epoch in range(20):
    encoder.train()
    losses = []
    for anchor, pos, neg in loader:
        loss = criterion(encoder(anchor), encoder(pos), encoder(neg))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1}: triplet loss {np.mean(losses):.4f}, 5-nn acc {retrieval_score():.4f}")
