import math, os, random
import numpy as np
import torch
import torch.nn as nn

# toy: read ten digits, write them sorted, all positions at once. Data are made on the fly.

class Config:
    vocab = 10
    length = 10
    d_model = 48
    heads = 4
    layers = 2
    batch = 64
    steps = 350
    lr = 3e-3
    warmup = 40


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.h = h

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-1, -2) / math.sqrt(d // self.h)).softmax(-1)
        x = x + self.proj((a @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.ln2(x))


class Sorter(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.tok = nn.Embedding(c.vocab, c.d_model)
        self.pos = nn.Parameter(0.02 * torch.randn(c.length, c.d_model))
        self.blocks = nn.Sequential(*[Block(c.d_model, c.heads) for _ in range(c.layers)])
        self.ln = nn.LayerNorm(c.d_model)
        self.head = nn.Linear(c.d_model, c.vocab)

    def forward(self, s):
        return self.head(self.ln(self.blocks(self.tok(s) + self.pos)))


def sample(c, n, gen=None):
    s = torch.randint(c.vocab, (n, c.length), generator=gen)
    return s, s.sort(dim=1).values


def evaluate(model, s, y):
    model.eval()
    with torch.no_grad():
        ok = model(s).argmax(-1) == y
    model.train()
    return ok.float().mean().item(), ok.all(1).float().mean().item()


def train(c, seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    held = sample(c, 2000, torch.Generator().manual_seed(10_000 + seed))
    model = Sorter(c)
    opt = torch.optim.AdamW(model.parameters(), lr=c.lr, betas=(0.9, 0.98), weight_decay=0.01)
    f = lambda k: (k + 1) / c.warmup if k < c.warmup else 0.5 * (1 + math.cos(math.pi * (k - c.warmup) / (c.steps - c.warmup)))
    sch = torch.optim.lr_scheduler.LambdaLR(opt, f)
    for step in range(c.steps):
        s, y = sample(c, c.batch)
        loss = nn.functional.cross_entropy(model(s).transpose(1, 2), y)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sch.step()
        if step % 50 == 49:
            print("step %4d loss %.3f token acc %.3f" % (step + 1, loss.item(), evaluate(model, *held)[0]))
    tok, whole = evaluate(model, *held)
    print("held-out: whole sequences right %.4f, tokens right %.4f" % (whole, tok))


train(Config(), int(os.environ.get("SEED", 0)))
