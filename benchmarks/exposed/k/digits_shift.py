import os, random
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)


class Digits(Dataset):
    def __init__(self, images, labels, jitter=False):
        self.images, self.labels, self.jitter = images.astype(np.float32) / 16.0, labels, jitter

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        im = self.images[i]
        if self.jitter:
            dx, dy = random.randint(-1, 1), random.randint(-1, 1)
            im = np.pad(im, 1)[1 + dy:9 + dy, 1 + dx:9 + dx]
            im = im + np.random.normal(0, 0.03, im.shape).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(im, dtype=np.float32))[None], int(self.labels[i])


data = load_digits()
im_tr, im_te, y_tr, y_te = train_test_split(data.images, data.target, test_size=0.3, stratify=data.target, random_state=SEED)
train_loader = DataLoader(Digits(im_tr, y_tr, jitter=True), batch_size=32, shuffle=True)
test_loader = DataLoader(Digits(im_te, y_te), batch_size=256)


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.fc = nn.Linear(64 * 4, 10)
        self.drop = nn.Dropout(0.25)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(self.drop(x.flatten(1)))


net = ConvNet()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
n_epochs = 30
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, n_epochs)
for epoch in range(n_epochs):
    net.train()
    seen = hits = 0
    total = 0.0
    for x, y in train_loader:
        opt.zero_grad()
        out = net(x)
        loss = F.cross_entropy(out, y)
        loss.backward()
        opt.step()
        total += loss.item() * len(y)
        hits += (out.argmax(1) == y).sum().item()
        seen += len(y)
    sched.step()
    if epoch % 3 == 2:
        print(f"[{epoch + 1}/{n_epochs}] loss={total / seen:.4f} acc={hits / seen:.4f}")

net.eval()
with torch.no_grad():
    right = sum((net(x).argmax(1) == y).sum().item() for x, y in test_loader)
print("accuracy on unseen digits:", round(right / len(y_te), 4))
