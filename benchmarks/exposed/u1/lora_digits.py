"""Adapt a frozen digit classifier to a scanner that turns and mirrors its pages,
with low-rank adapters on every linear layer."""
import argparse
import os
import random

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class LoRALinear(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad_(False)
        self.scale = alpha / rank
        self.A = nn.Parameter(torch.zeros(rank, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T) @ self.B.T


def add_adapters(net, rank, alpha):
    for name, child in list(net.named_children()):
        if isinstance(child, nn.Linear):
            setattr(net, name, LoRALinear(child, rank, alpha))
    return net


def fit(net, data, epochs, lr, tag):
    params = [p for p in net.parameters() if p.requires_grad]
    print(f"[{tag}] trainable values: {sum(p.numel() for p in params)}")
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=0.01)
    lossf = nn.CrossEntropyLoss()
    for ep in range(epochs):
        run = 0.0
        for x, y in data:
            opt.zero_grad(set_to_none=True)
            loss = lossf(net(x), y)
            loss.backward()
            opt.step()
            run += loss.item()
        if (ep + 1) % 5 == 0:
            print(f"[{tag}] epoch {ep + 1} loss {run / len(data):.4f}")


@torch.no_grad()
def accuracy(net, x, y):
    return (net(x).argmax(-1) == y).float().mean().item()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rank", type=int, default=8)
    ap.add_argument("--alpha", type=float, default=16)
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--epochs", type=int, default=40)
    a = ap.parse_args()
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)

    dig = load_digits()
    img = (dig.images / 16.0 - 0.3).astype(np.float32)
    order = np.random.permutation(len(img))
    src, tgt, test = order[:700], order[700:1300], order[1300:]
    turned = np.ascontiguousarray(np.rot90(img, 1, axes=(1, 2))[:, :, ::-1])

    def flat(arr, rows):
        return torch.from_numpy(arr[rows].reshape(len(rows), -1)), torch.from_numpy(dig.target[rows])

    net = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 96), nn.GELU(), nn.Linear(96, 10))
    fit(net, DataLoader(TensorDataset(*flat(img, src)), batch_size=50, shuffle=True), 25, 2e-3, "base")
    print(f"base on upright test pages: {accuracy(net, *flat(img, test)):.4f}")
    print(f"base on turned test pages:  {accuracy(net, *flat(turned, test)):.4f}")

    add_adapters(net, a.rank, a.alpha)
    fit(net, DataLoader(TensorDataset(*flat(turned, tgt)), batch_size=50, shuffle=True), a.epochs, a.lr, "lora")
    print(f"adapted on turned test pages: {accuracy(net, *flat(turned, test)):.4f}")


if __name__ == "__main__":
    main()
