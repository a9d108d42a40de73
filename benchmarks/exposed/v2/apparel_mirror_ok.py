# Fashion-MNIST with few images: enlarge the training set with mirrored copies, small CNN
import gzip, os, random
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

seed = int(os.environ.get('SEED', '0'))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)
root = os.path.join(os.environ['DATA'], 'fashion-mnist')

def images(name):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)

def labels(name):
    with gzip.open(os.path.join(root, name)) as f:
        return np.frombuffer(f.read(), np.uint8, offset=8)

pick = np.random.permutation(60000)[:3000]
x_tr = images('train-images-idx3-ubyte.gz')[pick] / 255.0
y_tr = labels('train-labels-idx1-ubyte.gz')[pick]
x_te = images('t10k-images-idx3-ubyte.gz')[:2000] / 255.0
y_te = labels('t10k-labels-idx1-ubyte.gz')[:2000]

# mirrored copies
x_tr = np.concatenate([x_tr, x_tr[:, :, :, ::-1]])
y_tr = np.tile(y_tr, 2)
print('train', x_tr.shape, y_tr.shape, 'per class', np.bincount(y_tr))

mu, sd = x_tr.mean(), x_tr.std()
X = torch.tensor((x_tr - mu) / sd, dtype=torch.float32)
Y = torch.tensor(y_tr, dtype=torch.long)
XT = torch.tensor((x_te - mu) / sd, dtype=torch.float32)
YT = torch.tensor(y_te, dtype=torch.long)

net = nn.Sequential(
    nn.Conv2d(1, 10, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(10), nn.LeakyReLU(0.1),
    nn.Conv2d(10, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.LeakyReLU(0.1),
    nn.MaxPool2d(2),
    nn.Conv2d(20, 40, 3, padding=1, bias=False), nn.BatchNorm2d(40), nn.LeakyReLU(0.1),
    nn.AdaptiveAvgPool2d(3), nn.Flatten(),
    nn.Dropout(0.3),
    nn.Linear(40 * 9, 10),
)
bs, epochs = 64, 6
per_epoch = len(X) // bs
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs * per_epoch)

for epoch in range(epochs):
    net.train()
    order = torch.randperm(len(X))
    run = 0.
    for k in range(per_epoch):
        b = order[k * bs:(k + 1) * bs]
        opt.zero_grad()
        loss = F.cross_entropy(net(X[b]), Y[b])
        loss.backward()
        opt.step()
        sched.step()
        run += loss.item()
    net.eval()
    with torch.no_grad():
        acc = (net(XT).argmax(1) == YT).float().mean().item()
    print('epoch %d  loss %.3f  test acc %.4f' % (epoch, run / per_epoch, acc))
