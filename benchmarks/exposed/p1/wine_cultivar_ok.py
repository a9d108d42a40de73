import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

dataset = load_wine()
X = dataset.data
Y = dataset.target
# split into 67% for train and 33% for test
X_train, X_test, y_train, y_test = train_test_split(X, Y, test_size=0.33, random_state=seed, stratify=Y)
scaler = StandardScaler()
X_train = scaler.fit_transform(X_train)
X_test = scaler.transform(X_test)
X_train = torch.FloatTensor(X_train)
X_test = torch.FloatTensor(X_test)
y_train, y_test = torch.LongTensor(y_train), torch.LongTensor(y_test)

# create model
model = nn.Sequential(
    nn.Linear(13, 24),
    nn.ReLU(),
    nn.Linear(24, 12),
    nn.ReLU(),
    nn.Linear(12, 3),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
criterion = nn.CrossEntropyLoss()

n_epoch, batch_size = 60, 10
for epoch in range(n_epoch):
    p = np.random.permutation(len(X_train))
    epoch_loss = []
    for i in range(0, len(p), batch_size):
        idx = p[i:i + batch_size]
        optimizer.zero_grad()
        loss = criterion(model(X_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
        epoch_loss.append(loss.item())
    with torch.no_grad():
        acc = (model(X_train).argmax(1) == y_train).float().mean()
        val_acc = (model(X_test).argmax(1) == y_test).float().mean()
    if epoch % 10 == 0 or epoch == n_epoch - 1:
        print("Epoch {}/{} loss: {:.4f} acc: {:.4f} val_acc: {:.4f}".format(
            epoch + 1, n_epoch, np.mean(epoch_loss), acc, val_acc))
