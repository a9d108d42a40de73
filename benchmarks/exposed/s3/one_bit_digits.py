# Digits with one-bit hidden weights and one-bit activations; straight-through gradients.
import os, random
import numpy as np, torch
from torch import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

seed = int(os.environ.get("SEED", 0))
for f in (random.seed, np.random.seed, torch.manual_seed):
    f(seed)


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (x.abs() <= 1)          # pass only where the input is not clipped


class BitLinear(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.latent = nn.Parameter(torch.empty(o, i).uniform_(-0.5, 0.5))

    def forward(self, x):
        return x @ Sign.apply(self.latent).t()

    def clip(self):
        self.latent.data.clamp_(-1, 1)


class BitNet(nn.Module):
    def __init__(self, h=256):
        super().__init__()
        self.l1, self.n1 = BitLinear(64, h), nn.BatchNorm1d(h)
        self.l2, self.n2 = BitLinear(h, h), nn.BatchNorm1d(h)
        self.l3 = nn.Linear(h, 10)

    def forward(self, x):
        x = Sign.apply(self.n1(self.l1(x)))
        x = Sign.apply(self.n2(self.l2(x)))
        return self.l3(x / x.shape[1] ** 0.5)


X, y = load_digits(return_X_y=True)
Xa, Xb, ya, yb = train_test_split(X.astype(np.float32) / 8 - 1, y, test_size=0.3, random_state=seed)
Xa, Xb, ya, yb = map(torch.from_numpy, (Xa, Xb, ya, yb))
net = BitNet()
EPOCHS, LR = 24, 5e-3
opt = torch.optim.Adam(net.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.LinearLR(opt, 1.0, 0.02, total_iters=EPOCHS)
for ep in range(EPOCHS):
    net.train()
    tot = 0
    for i in torch.randperm(len(Xa))[:1250].view(-1, 50):
        loss = nn.functional.cross_entropy(net(Xa[i]), ya[i])
        opt.zero_grad(); loss.backward(); opt.step()
        net.l1.clip(); net.l2.clip()
        tot += loss.item() / 25
    sched.step()
    if ep % 4 == 3:
        net.eval()
        with torch.no_grad():
            print("ep %2d loss %.4f test acc %.4f" % (ep + 1, tot, (net(Xb).argmax(1) == yb).float().mean()))
