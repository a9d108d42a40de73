import os, gzip, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

seed = int(os.environ.get("SEED", "0"))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)


def idx(name):
    with gzip.open(os.path.join(os.environ["DATA"], "fashion-mnist", name)) as f:
        raw = f.read()
    nd = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i: 8 + 4 * i], "big") for i in range(nd)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * nd).reshape(shape)


class Net(nn.Module):
    def __init__(self, w=8):
        super().__init__()
        self.conv1 = nn.Conv2d(1, w, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(w)
        self.conv2 = nn.Conv2d(w, 2 * w, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * w)
        self.fc1 = nn.Linear(2 * w * 7 * 7, 64)
        self.drop = nn.Dropout(0.3)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(self.drop(x))


def main():
    # a random tenth of the training images keeps this a coffee-sip experiment
    N, epochs, bs, max_lr = 6000, 6, 64, 0.05
    x = idx("train-images-idx3-ubyte.gz")
    y = idx("train-labels-idx1-ubyte.gz")
    pick = np.random.permutation(len(x))[:N]
    x = torch.tensor(x[pick]).float().div(255).sub(0.286).div(0.353).unsqueeze(1)
    y = torch.tensor(y[pick]).long()
    xt = torch.tensor(idx("t10k-images-idx3-ubyte.gz").copy()).float().div(255).sub(0.286).div(0.353).unsqueeze(1)
    yt = torch.tensor(idx("t10k-labels-idx1-ubyte.gz").copy()).long()
    quick = torch.randperm(len(xt))[:2000]
    xt, yt = xt[quick], yt[quick]

    net = Net()
    steps = (N + bs - 1) // bs
    opt = torch.optim.SGD(net.parameters(), lr=max_lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=max_lr, epochs=epochs, steps_per_epoch=steps)
    for ep in range(epochs):
        net.train()
        run = 0.0
        for b in torch.randperm(N).split(bs):
            loss = F.cross_entropy(net(x[b]), y[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            run += loss.item()
        net.eval()
        with torch.no_grad():
            acc = torch.cat([net(c) for c in xt.split(1000)]).argmax(1).eq(yt).float().mean().item()
        print(f"[{ep + 1}/{epochs}] loss={run / steps:.3f} test_acc={acc:.4f}")


if __name__ == "__main__":
    main()
