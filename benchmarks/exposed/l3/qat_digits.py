import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class FakeQuant(torch.autograd.Function):
    """symmetric uniform quantiser with a straight-through gradient inside the range"""

    @staticmethod
    def forward(ctx, x, scale, qmin, qmax):
        q = torch.round(x / scale)
        ctx.save_for_backward((q >= qmin) & (q <= qmax))
        return q.clamp(qmin, qmax) * scale

    @staticmethod
    def backward(ctx, grad):
        inside, = ctx.saved_tensors
        return grad * inside, None, None, None


class QLinear(nn.Linear):
    def __init__(self, i, o, bits=4):
        super().__init__(i, o)
        self.bits, self.quant = bits, False
        self.register_buffer("act_max", torch.tensor(0.0))

    def forward(self, x):
        if self.training:       # running range of the incoming activations
            m = x.detach().abs().max()
            self.act_max.copy_(m if self.act_max == 0 else 0.95 * self.act_max + 0.05 * m)
        if not self.quant:
            return super().forward(x)
        n = 2 ** (self.bits - 1) - 1
        w = FakeQuant.apply(self.weight, self.weight.detach().abs().max() / n, -n, n)
        top = 2 ** self.bits - 1
        x = FakeQuant.apply(x, self.act_max / top, 0, top)
        return F.linear(x, w, self.bias)


X, y = load_digits(return_X_y=True)
Xtr, Xte, ytr, yte = train_test_split(X / 16, y, test_size=0.3, stratify=y, random_state=SEED)
Xtr, Xte = torch.tensor(Xtr).float(), torch.tensor(Xte).float()
ytr, yte = torch.tensor(ytr), torch.tensor(yte)
net = nn.Sequential(QLinear(64, 128), nn.ReLU(), QLinear(128, 64), nn.ReLU(), QLinear(64, 10))


def train(epochs, lr):
    opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    for ep in range(epochs):
        net.train()
        tot = 0.0
        for b in torch.randperm(len(Xtr)).split(32):
            opt.zero_grad()
            loss = F.cross_entropy(net(Xtr[b]), ytr[b])
            loss.backward()
            opt.step()
            tot += loss.item() * len(b)
        sched.step()
        if ep % 10 == 9:
            print(f"  epoch {ep + 1} loss {tot / len(Xtr):.4f}")


@torch.no_grad()
def score():
    net.eval()
    return (net(Xte).argmax(1) == yte).float().mean().item()


def set_quant(on):
    for m in net:
        if isinstance(m, QLinear):
            m.quant = on


print("float training")
train(40, 0.05)
print(f"float accuracy {score():.4f}")
set_quant(True)
print(f"4 bit, after training {score():.4f}")
print("fine-tuning with fake quantisation")
train(20, 0.01)
print(f"4 bit accuracy {score():.4f}")
