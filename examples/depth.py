"""Fifty layers, plain or residual, on 1,797 handwritten digits: the same width, data, optimiser and steps.

    python examples/depth.py plain
    python examples/depth.py residual
    soundfit doctor --html depth.html examples/depth.py plain

A gradient passes a plain net as a product of fifty matrices and vanishes on the way; a residual net adds
to what it is given, so that its gradient is a sum in which one term is never shrunk.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

LAYERS, WIDTH = 50, 64


class Residual(nn.Module):
    """``x + W f(norm x)``."""

    def __init__(self, width):
        super().__init__()
        self.branch = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.branch(x)


def make_net(kind, init):
    middle = LAYERS - 2
    if kind == "plain":
        body = [layer for _ in range(middle) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
        net = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), *body, nn.Linear(WIDTH, 10))
    else:
        blocks = [Residual(WIDTH) for _ in range(middle)]
        net = nn.Sequential(nn.Linear(64, WIDTH), *blocks, nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10))
    if init == "he":
        for layer in net.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
    return net


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["plain", "residual"])
    parser.add_argument("--init", choices=["torch", "he"], default="torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 8.0 - 1.0
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x))
    train, test = order[:1437], order[1437:]
    net = make_net(options.kind, options.init)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(options.epochs):
        net.train()
        for rows in train[torch.randperm(len(train))].split(64):
            optimizer.zero_grad()
            loss = loss_of(net(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
        if epoch == 0:
            linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
            first, last = (float(linear[i].weight.grad.norm()) for i in (0, -1))
            print(f"gradient norm in the first layer {first:.1e}, in the last {last:.1e}")
    net.eval()
    with torch.no_grad():
        accuracy = (net(x[test]).argmax(1) == y[test]).float().mean().item()
    print(f"{options.kind}: accuracy on {len(test)} digits that it never saw: {accuracy:.3f}")


if __name__ == "__main__":
    main()
