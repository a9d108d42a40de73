"""A two-layer transformer on a small random language.

Text is drawn from a second-order Markov source over 7 letters, so no model can get below
the entropy rate of the source; it is printed next to the loss. Noam-style warm-up
(Vaswani et al. 2017) to a rather high peak.
"""
import os
import random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

seed = int(os.environ.get("SEED", 0))
random.seed(seed)
np.random.seed(seed)
torch.manual_seed(seed)

V, T, D, HEADS, LAYERS = 7, 20, 32, 2, 2
PEAK, WARMUP, STEPS, BATCH = 1e-2, 100, 700, 32

# ---- the language ------------------------------------------------------------------
table = np.random.dirichlet(np.full(V, 0.15), size=(V, V))
table = torch.tensor(0.97 * table + 0.03 / V, dtype=torch.float32)


def sample(n):
    s = torch.randint(0, V, (n, T + 1))
    for t in range(2, T + 1):
        s[:, t] = torch.multinomial(table[s[:, t - 2], s[:, t - 1]], 1).squeeze(1)
    return s


def best_possible(s):
    pr = table[s[:, :-2], s[:, 1:-1]]
    acc = (pr.argmax(-1) == s[:, 2:]).float().mean().item()
    nll = -pr.gather(-1, s[:, 2:, None]).log().mean().item()
    return nll, acc


# ---- the model ---------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.ff = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, D))
        return x + self.ff(self.n2(x))


class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Embedding(T, D)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.out = nn.LayerNorm(D), nn.Linear(D, V)

    def forward(self, s):
        x = self.tok(s) + self.pos.weight[: s.shape[1]]
        return self.out(self.norm(self.blocks(x)))


lm = LM()
opt = torch.optim.AdamW(lm.parameters(), lr=PEAK, betas=(0.9, 0.98), weight_decay=0.01)
sched = torch.optim.lr_scheduler.LambdaLR(
    opt, lambda i: min((i + 1) / WARMUP, max(0.0, (STEPS - i) / (STEPS - WARMUP))))

held = sample(500)
floor, ceil = best_possible(held)
print(f"entropy of the source {floor:.3f} nats, best accuracy {ceil:.3f}")

for step in range(1, STEPS + 1):
    s = sample(BATCH)
    # the first two letters are uniform, nothing to learn there
    loss = F.cross_entropy(lm(s[:, :-1])[:, 1:].reshape(-1, V), s[:, 2:].reshape(-1))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    sched.step()
    if step % 100 == 0:
        with torch.no_grad():
            lg = lm(held[:, :-1])[:, 1:]
            nll = F.cross_entropy(lg.reshape(-1, V), held[:, 2:].reshape(-1)).item()
            acc = (lg.argmax(-1) == held[:, 2:]).float().mean().item()
        print(f"step {step:4d}  train {loss.item():.3f}  held-out {nll:.3f}  acc {acc:.3f}")
