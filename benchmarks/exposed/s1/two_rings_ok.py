import os, random
import numpy as np, torch
from torch import nn
from sklearn.datasets import make_circles

SEED = int(os.environ.get("SEED", "0"))
for f in (random.seed, np.random.seed, torch.manual_seed):
    f(SEED)


class RingNet(nn.Module):
    """Plain stack of equal hidden layers, one logit out."""

    def __init__(self, width=24, hidden=6):
        super().__init__()
        self.inp = nn.Linear(2, width)
        self.hid = nn.ModuleList(nn.Linear(width, width) for _ in range(hidden - 1))
        self.out = nn.Linear(width, 1)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.inp(x))
        for layer in self.hid:
            x = self.act(layer(x))
        return self.out(x).squeeze(1)


class Trainer:
    def __init__(self, net, lr, batch):
        self.net, self.batch = net, batch
        self.opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
        self.loss = nn.BCEWithLogitsLoss()

    def epoch(self, x, y):
        self.net.train()
        losses = []
        for idx in torch.randperm(len(x)).split(self.batch):
            loss = self.loss(self.net(x[idx]), y[idx])
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    @torch.no_grad()
    def accuracy(self, x, y):
        self.net.eval()
        return ((self.net(x) > 0).float() == y).float().mean().item()


def main():
    pts, lab = make_circles(2000, noise=0.08, factor=0.5, random_state=SEED)
    x = torch.tensor(pts, dtype=torch.float32)
    y = torch.tensor(lab, dtype=torch.float32)
    xtr, ytr, xva, yva = x[:1400], y[:1400], x[1400:], y[1400:]

    t = Trainer(RingNet(), lr=0.05, batch=32)
    for e in range(40):
        l = t.epoch(xtr, ytr)
        if (e + 1) % 10 == 0:
            print(f"[{e + 1:3d}] train loss {l:.4f}   val acc {t.accuracy(xva, yva):.4f}")


if __name__ == "__main__":
    main()
