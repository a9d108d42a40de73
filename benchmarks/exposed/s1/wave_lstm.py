"""Which of five wave shapes? LSTM over 32 noisy samples of a signal."""
import os
import random

import numpy as np
import torch
from scipy import signal
from torch import nn

CLASSES = ["sine", "square", "saw", "pulse", "chirp"]


def make_set(n, rng, length=32):
    t = np.linspace(0, 1, length)
    xs, ys = [], []
    for _ in range(n):
        k = rng.integers(len(CLASSES))
        f, ph = rng.uniform(2, 4), rng.uniform(0, 2 * np.pi)
        w = 2 * np.pi * f * t + ph
        s = [np.sin(w), signal.square(w), signal.sawtooth(w), 2 * signal.square(w, 0.2) + 1,
             np.sin(w * (0.5 + t))][k]
        xs.append(rng.uniform(0.7, 1.3) * s + rng.normal(0, 0.2, length))
        ys.append(k)
    return torch.tensor(np.array(xs), dtype=torch.float32).unsqueeze(-1), torch.tensor(ys)


class WaveLSTM(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.rnn = nn.LSTM(1, hidden, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, len(CLASSES))

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.fc(h.mean(dim=1))


def evaluate(model, x, y):
    model.eval()
    with torch.inference_mode():
        return (model(x).argmax(-1) == y).float().mean().item()


def train(model, data, epochs=18, bs=50):
    (x, y), (xv, yv) = data
    optimizer = torch.optim.NAdam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=6, gamma=0.3)
    ce = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()
        total = 0
        for idx in torch.randperm(len(x)).split(bs):
            optimizer.zero_grad(set_to_none=True)
            loss = ce(model(x[idx]), y[idx])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(idx)
        print(f"{epoch + 1:>3}  loss={total / len(x):.4f}  val_acc={evaluate(model, xv, yv):.4f}")


def main():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    train(WaveLSTM(), (make_set(2000, rng), make_set(1000, rng)))


main()
