"""A small causal transformer on text from a random second-order Markov source; the entropy of the source bounds the loss."""
import os
import math
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)
V, CTX = 8, 32
P = torch.tensor(np.random.dirichlet(np.full(V, 0.35), size=(V, V)), dtype=torch.float32)


def write_text(rows, length):
    x = torch.randint(V, (rows, length))
    for t in range(2, length):
        x[:, t] = torch.multinomial(P[x[:, t - 2], x[:, t - 1]], 1).squeeze(1)
    return x


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.h = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(self.ln1(x)).reshape(B, T, 3, self.h, D // self.h).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(B, T, D))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, d=48, layers=2, heads=4):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, d), nn.Embedding(CTX, d)
        self.blocks = nn.Sequential(*[Block(d, heads) for _ in range(layers)])
        self.ln = nn.LayerNorm(d)
        nn.init.normal_(self.tok.weight, std=0.1)
        nn.init.normal_(self.pos.weight, std=0.1)

    def forward(self, idx):
        x = self.tok(idx) + self.pos.weight[:idx.shape[1]]
        return self.ln(self.blocks(x)) @ self.tok.weight.T        # output weights shared with the embedding


corpus = write_text(3000, CTX + 1)
held = write_text(500, CTX + 1)
nll = -torch.log(P[held[:, 1:-2], held[:, 2:-1]].gather(2, held[:, 3:, None])).mean()
print("source cross entropy on the held-out text: %.4f (uniform %.4f)" % (nll, math.log(V)))
model = GPT()
STEPS, LR, WARM = 500, 6e-3, 50
opt = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.1)
lr_at = lambda s: min(1, (s + 1) / WARM) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * s / STEPS)))
sched = torch.optim.lr_scheduler.LambdaLR(opt, lr_at)
for s in range(STEPS):
    b = corpus[torch.randint(len(corpus), (48,))]
    loss = F.cross_entropy(model(b[:, :-1]).reshape(-1, V), b[:, 1:].reshape(-1))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    if (s + 1) % 100 == 0:
        print("step", s + 1, "loss %.4f" % loss.item())
with torch.no_grad():
    out = model(held[:, :-1])
    print("held-out loss from the third letter on: %.4f" % F.cross_entropy(out[:, 2:].reshape(-1, V), held[:, 3:].reshape(-1)))
