import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

s = int(os.environ.get("SEED", 0))
random.seed(s); np.random.seed(s); torch.manual_seed(s)

BN_DECAY = 0.9


def conv_bn(cin, cout, pool=False):
    block = [nn.Conv2d(cin, cout, 3, padding=1, bias=False),
             nn.BatchNorm2d(cout, eps=1e-3, momentum=1 - BN_DECAY),
             nn.ReLU(inplace=True)]
    if pool:
        block.append(nn.MaxPool2d(2))
    return nn.Sequential(*block)


net = nn.Sequential(
    conv_bn(1, 16),
    conv_bn(16, 32, pool=True),
    conv_bn(32, 32, pool=True),
    nn.Flatten(),
    nn.Linear(32 * 2 * 2, 10),
)

dig = load_digits()
img = torch.tensor(dig.images, dtype=torch.float32).unsqueeze(1) / 16.0
lab = torch.tensor(dig.target)
tr, te = train_test_split(np.arange(len(lab)), test_size=0.3, random_state=s, stratify=dig.target)
tr, te = torch.as_tensor(tr), torch.as_tensor(te)

opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
xent = nn.CrossEntropyLoss()

for ep in range(12):
    net.train()
    correct = seen = 0
    for b in tr[torch.randperm(len(tr))].split(64):
        out = net(img[b])
        loss = xent(out, lab[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        correct += (out.argmax(1) == lab[b]).sum().item()
        seen += len(b)
    net.eval()
    with torch.no_grad():
        out = net(img[te])
    print(f"ep {ep:2d}  train acc {correct / seen:.4f}  test loss {xent(out, lab[te]).item():.4f}  "
          f"test acc {(out.argmax(1) == lab[te]).float().mean().item():.4f}")
