"""Classify accelerometer gestures of different lengths with a packed GRU."""
import os
import random
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence, pack_padded_sequence
from torch.utils.data import DataLoader

CLASSES = ["circle", "shake", "swipe", "knock", "tilt"]


def seed_all(s):
    random.seed(s); np.random.seed(s); torch.manual_seed(s)


def record(kind):
    n = np.random.randint(12, 45)
    t = np.linspace(0, 1, n)
    ph = np.random.rand() * 2 * np.pi
    amp = np.random.uniform(.6, 1.4)
    sig = np.zeros((n, 3))
    if kind == 0:
        sig[:, 0], sig[:, 1] = np.cos(6.28 * t + ph), np.sin(6.28 * t + ph)
    elif kind == 1:
        sig[:, 0] = np.sign(np.sin(6.28 * 4 * t + ph))
    elif kind == 2:
        sig[:, 0] = np.exp(-((t - np.random.uniform(.3, .7)) / .15) ** 2) * 1.5
    elif kind == 3:
        for k in np.random.choice(n, 2, replace=False):
            sig[k, 2] = 2.2
    else:
        sig[:, 1] = np.tanh((t - .5) * 5); sig[:, 2] = 1 - .5 * t
    return torch.tensor(amp * sig + .45 * np.random.randn(n, 3), dtype=torch.float32)


def make(n):
    ys = np.random.randint(0, len(CLASSES), n)
    return [(record(k), int(k)) for k in ys]


def collate(items):
    seqs = [s for s, _ in items]
    labels = torch.tensor([k for _, k in items])
    lengths = torch.tensor([len(s) for s in seqs])
    lengths, order = lengths.sort(descending=True)
    padded = pad_sequence(seqs, batch_first=True)[order]
    return padded, lengths, labels[order]


class GestureNet(nn.Module):
    def __init__(self, hidden=48):
        super().__init__()
        self.gru = nn.GRU(3, hidden, batch_first=True)
        self.out = nn.Linear(hidden, len(CLASSES))

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        _, h = self.gru(packed)
        return self.out(h[-1])


@torch.no_grad()
def accuracy(model, data):
    model.eval()
    hits = sum(int(model(s[None], torch.tensor([len(s)])).argmax()) == k for s, k in data)
    return hits / len(data)


def train():
    seed_all(int(os.environ.get("SEED", 0)))
    train_set, test_set = make(1200), make(500)
    loader = DataLoader(train_set, batch_size=32, shuffle=True, collate_fn=collate)
    model = GestureNet()
    opt = torch.optim.NAdam(model.parameters(), lr=3e-3)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, 6e-3, total_steps=9 * len(loader))
    for epoch in range(9):
        model.train()
        total = 0
        for x, lengths, y in loader:
            loss = nn.functional.cross_entropy(model(x, lengths), y)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            sched.step()
            total += loss.item() * len(y)
        print(f"[{epoch:02d}] loss={total / len(train_set):.4f}")
    print(f"test accuracy = {accuracy(model, test_set):.4f}")


if __name__ == "__main__":
    train()
