"""
Three-bit flip-flop (Sussillo & Barak): every channel gets rare +1/-1 pulses, the network must
output the last pulse of every channel.  Inputs and the recorded targets both carry noise.
"""
import os
import random
import numpy as np
import torch
from torch import nn

seed = int(os.getenv("SEED", "0"))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)
rng = np.random.default_rng(seed)

BITS, T, SIGMA_IN, SIGMA_OUT = 3, 40, 0.1, 0.25


def make(n):
    pulses = rng.choice([0, 1, -1], p=[0.9, 0.05, 0.05], size=(n, T, BITS)).astype(np.float32)
    pulses[:, 0] = rng.choice([1, -1], size=(n, BITS))
    state = np.zeros((n, BITS), np.float32)
    target = np.zeros_like(pulses)
    for t in range(T):
        state = np.where(pulses[:, t] != 0, pulses[:, t], state)
        target[:, t] = state
    u = pulses + SIGMA_IN * rng.standard_normal(pulses.shape)
    y = target + SIGMA_OUT * rng.standard_normal(target.shape)
    return torch.tensor(u, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


u_train, y_train = make(1500)
u_valid, y_valid = make(300)
u_test, y_test = make(600)


class Memory(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.rnn = nn.LSTM(BITS, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, BITS)

    def forward(self, u):
        h, _ = self.rnn(u)
        return self.readout(h)


HIDDEN, LR, EPOCHS, BATCH, CLIP = 32, 0.01, 20, 50, 1.0
model = Memory(HIDDEN)
optimiser = torch.optim.RMSprop(model.parameters(), lr=LR)
decay = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.88)


def score(u, y):
    model.eval()
    with torch.no_grad():
        e = ((model(u) - y) ** 2).mean().item()
    return 1.0 - e / y.var().item()


for epoch in range(EPOCHS):
    model.train()
    perm = torch.randperm(len(u_train))
    seen = []
    for i in range(0, len(perm), BATCH):
        j = perm[i:i + BATCH]
        optimiser.zero_grad()
        loss = nn.functional.mse_loss(model(u_train[j]), y_train[j])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        seen.append(loss.item())
    decay.step()
    print(f"{epoch:3d}  mse {np.mean(seen):.4f}   valid R2 {score(u_valid, y_valid):+.4f}")

ceiling = 1 - SIGMA_OUT ** 2 / y_test.var().item()
print(f"R2 of the noiseless flip-flop: {ceiling:.4f}")
print(f"R2 on test sequences: {score(u_test, y_test):.4f}")
