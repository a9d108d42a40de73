"""
Annotators were wrong on 30 % of the digits, uniformly over the other nine classes.
Forward correction (Patrini et al., 2017): push the predicted probabilities through the
noise matrix before the log loss. Clean labels are used for the final test only.
"""
import os, random
import numpy as np
import torch
from torch import nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

K = 10


class Config:
    noise = 0.3
    epochs = 30
    lr = 0.02
    batch = 64
    width = 128
    decay = 1e-2


def seed_all():
    s = int(os.environ.get("SEED", 0))
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)
    return s


def corrupt(y, p):
    flip = np.random.rand(len(y)) < p
    return np.where(flip, (y + np.random.randint(1, K, len(y))) % K, y)


def forward_loss(logits, y, M):
    q = logits.softmax(1) @ M
    return -q[torch.arange(len(y)), y].clamp_min(1e-8).log().mean()


def main(cfg):
    s = seed_all()
    X, y = load_digits(return_X_y=True)
    Xa, Xb, ya, yb = train_test_split(X / 16 - .3, y, test_size=.3, random_state=s, stratify=y)
    noisy = corrupt(ya, cfg.noise)
    print("label noise in the training rows:", round(float((noisy != ya).mean()), 3))
    X, t = torch.tensor(Xa, dtype=torch.float32), torch.tensor(noisy)
    M = torch.full((K, K), cfg.noise / (K - 1))
    M.fill_diagonal_(1 - cfg.noise)

    net = nn.Sequential(
        nn.Linear(64, cfg.width), nn.BatchNorm1d(cfg.width), nn.ReLU(), nn.Dropout(.3),
        nn.Linear(cfg.width, K),
    )
    opt = torch.optim.SGD(net.parameters(), lr=cfg.lr, momentum=.9, nesterov=True, weight_decay=cfg.decay)
    sch = torch.optim.lr_scheduler.CosineAnnealingLR(opt, cfg.epochs)
    for ep in range(cfg.epochs):
        net.train()
        seen, agree = 0., 0
        for idx in torch.randperm(len(X)).split(cfg.batch):
            out = net(X[idx])
            loss = forward_loss(out, t[idx], M)
            opt.zero_grad()
            loss.backward()
            opt.step()
            seen += loss.item() * len(idx)
            agree += (out.argmax(1) == t[idx]).sum().item()
        sch.step()
        if (ep + 1) % 5 == 0:
            print(f"epoch {ep + 1:3d} loss {seen / len(X):.3f} agrees with noisy label {agree / len(X):.3f}")
    net.eval()
    with torch.no_grad():
        acc = (net(torch.tensor(Xb, dtype=torch.float32)).argmax(1).numpy() == yb).mean()
    print(f"clean test accuracy {acc:.4f}")


if __name__ == "__main__":
    main(Config())
