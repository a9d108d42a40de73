"""
Transfer learning on handwritten digits.
A small convnet is first trained to tell 0-5 apart; its features are then reused for 6, 7, 8, 9
with only a few labelled pictures.
"""
import os
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class ConvNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(),
            nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(48, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.fc = nn.Linear(256, num_classes)

    def forward(self, x):
        return self.fc(self.features(x))


def make_loaders(X, y, test_size):
    Xa, Xb, ya, yb = train_test_split(X, y, test_size=test_size, stratify=y, random_state=SEED)
    mk = lambda a, b, s: DataLoader(TensorDataset(torch.tensor(a), torch.tensor(b)), batch_size=32, shuffle=s)
    return mk(Xa, ya, True), mk(Xb, yb, False)


def train_model(model, criterion, optimizer, train_loader, val_loader, num_epochs, tag):
    for epoch in range(num_epochs):
        model.train()
        running_loss, seen = 0.0, 0
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item() * inputs.size(0)
            seen += inputs.size(0)
        model.eval()
        correct = total = 0
        with torch.no_grad():
            for inputs, targets in val_loader:
                correct += (model(inputs).argmax(1) == targets).sum().item()
                total += len(targets)
        if (epoch + 1) % 3 == 0:
            print(f"[{tag}] epoch {epoch + 1:2d} loss {running_loss / seen:.4f} val acc {correct / total:.4f}")
    return model


digits = load_digits()
X = ((digits.images - 4.88) / 6.02).astype(np.float32)[:, None]
y = digits.target.astype(np.int64)

source = y < 6
src_train, src_val = make_loaders(X[source], y[source], 0.2)
tgt_train, tgt_val = make_loaders(X[~source], y[~source] - 6, 0.7)

criterion = nn.CrossEntropyLoss()
model = ConvNet(6)
train_model(model, criterion, torch.optim.Adam(model.parameters(), lr=1e-3), src_train, src_val, 9, "source")

for p in model.features.parameters():
    p.requires_grad = False
model.fc = nn.Linear(model.fc.in_features, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
train_model(model, criterion, optimizer, tgt_train, tgt_val, 30, "target")
