# Digits where annotators got 30 % of the training labels wrong (symmetric noise).
# Recipe: label smoothing, heavy dropout, and an exponential moving average of the weights
# for evaluation. Test labels are clean.
import os
import copy
import random
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

seed = int(os.environ.get('SEED', 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

X, y = load_digits(return_X_y=True)
order = np.random.permutation(len(y))
X = torch.from_numpy(X[order] / 16.).float().sub_(0.3).div_(0.38)
y = torch.from_numpy(y[order]).long()
X_train, y_clean, X_test, y_test = X[:1300], y[:1300], X[1300:], y[1300:]

wrong = torch.rand(len(y_clean)) < 0.30
y_train = torch.where(wrong, (y_clean + torch.randint(1, 10, y_clean.shape)) % 10, y_clean)
print('annotator agreement with the truth: %.3f' % (y_train == y_clean).float().mean())

net = nn.Sequential(
    nn.Dropout(0.2),
    nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5),
    nn.Linear(256, 10),
)
ema = copy.deepcopy(net).eval()
criterion = nn.CrossEntropyLoss(label_smoothing=0.2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-3)
num_epochs = 60
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [int(num_epochs * .5), int(num_epochs * .8)], gamma=0.1)

for epoch in range(num_epochs):
    net.train()
    perm = torch.randperm(len(X_train))
    loss_sum = hits = 0
    for i in range(0, len(perm), 50):
        j = perm[i:i + 50]
        optimizer.zero_grad()
        out = net(X_train[j])
        loss = criterion(out, y_train[j])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for pe, pn in zip(ema.parameters(), net.parameters()):
                pe.lerp_(pn, 0.02)
        loss_sum += loss.item() * len(j)
        hits += (out.argmax(1) == y_train[j]).sum().item()
    scheduler.step()
    if epoch % 6 == 5:
        with torch.no_grad():
            acc = (ema(X_test).argmax(1) == y_test).float().mean().item()
        print('epoch %2d  loss %.3f  acc on noisy train %.3f  clean test (ema) %.3f'
              % (epoch + 1, loss_sum / len(perm), hits / len(perm), acc))
