# A small convnet on clothes pictures, moved over from my old Keras script.
import gzip
import os
import time
import random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
DATA = os.path.join(os.environ['DATA'], 'fashion-mnist')

batch_size = 50
num_classes = 10
epochs = 7
n_train, n_test = 16000, 4000


def images(name):
    with gzip.open(os.path.join(DATA, name)) as f:
        raw = np.frombuffer(f.read(), np.uint8, offset=16)
    return raw.reshape(-1, 1, 28, 28)


def labels(name):
    with gzip.open(os.path.join(DATA, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=8).astype(np.int64)


x_train = images('train-images-idx3-ubyte.gz')
y_train = labels('train-labels-idx1-ubyte.gz')
x_test = images('t10k-images-idx3-ubyte.gz')[:n_test]
y_test = labels('t10k-labels-idx1-ubyte.gz')[:n_test]
keep = np.random.permutation(len(x_train))[:n_train]
x_train = torch.from_numpy((x_train[keep].astype('float32') / 255 - 0.286) / 0.353)
y_train = torch.from_numpy(y_train[keep])
x_test = torch.from_numpy((x_test.astype('float32') / 255 - 0.286) / 0.353)
y_test = torch.from_numpy(y_test)
print(len(x_train), 'train samples', len(x_test), 'test samples')


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 5, stride=2)
        self.conv2 = nn.Conv2d(12, 24, 3, stride=2)
        self.fc1 = nn.Linear(24 * 5 * 5, 64)
        self.fc2 = nn.Linear(64, num_classes)
        self.drop = nn.Dropout(0.4)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.drop(F.relu(self.fc1(x.flatten(1))))
        return self.fc2(x)


model = Net()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0, rho=0.95)

t0 = time.time()
for epoch in range(epochs):
    model.train()
    perm = torch.randperm(n_train)
    running = 0.
    for i in range(0, n_train, batch_size):
        idx = perm[i:i + batch_size]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x_train[idx]), y_train[idx])
        loss.backward()
        optimizer.step()
        running += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        out = model(x_test)
        vl = F.cross_entropy(out, y_test).item()
        va = (out.argmax(1) == y_test).float().mean().item()
    print('Epoch %d/%d - %.0fs - loss: %.4f - val_loss: %.4f - val_acc: %.4f'
          % (epoch + 1, epochs, time.time() - t0, running / n_train, vl, va))
