import math
import os
import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, DataLoader

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def write_corpus(n_lines, rng):
    verbs = ["chop", "grate", "slice", "peel", "boil", "fry", "roast", "whisk", "fold in", "strain"]
    things = ["onions", "carrots", "egg whites", "potatoes", "garlic", "spinach", "butter", "cream", "lentils", "mushrooms"]
    ways = ["until golden", "for ten minutes", "over a low flame", "with a pinch of salt", "until soft", "in a deep bowl"]
    ends = ["then set aside.", "and serve warm.", "then stir well.", "and let it rest."]
    pick = lambda a: a[rng.integers(len(a))]
    out = []
    for _ in range(n_lines):
        form = rng.integers(3)
        if form == 0:
            out.append(f"{pick(verbs)} the {pick(things)} {pick(ways)} {pick(ends)}")
        elif form == 1:
            a = pick(things)
            out.append(f"take the {a}; {pick(verbs)} the {a} {pick(ways)}.")
        else:
            out.append(f"{pick(ways)}, {pick(verbs)} {rng.integers(10, 90) * 10} g of {pick(things)} {pick(ends)}")
    return "\n".join(out)


@dataclass
class GPTConfig:
    vocab_size: int
    block_size: int = 48
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 64


class CharDataset(Dataset):
    def __init__(self, data, block_size):
        self.data, self.block = data, block_size

    def __len__(self):
        return (len(self.data) - self.block - 1) // 12

    def __getitem__(self, i):
        chunk = self.data[12 * i:12 * i + self.block + 1]
        return chunk[:-1], chunk[:-1]


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        d = cfg.n_embd
        self.n_head = cfg.n_head
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(B, T, 3, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.tok = nn.Embedding(cfg.vocab_size, cfg.n_embd)
        self.pos = nn.Parameter(0.02 * torch.randn(1, cfg.block_size, cfg.n_embd))
        self.blocks = nn.Sequential(*[Block(cfg) for _ in range(cfg.n_layer)])
        self.ln = nn.LayerNorm(cfg.n_embd)
        self.lm_head = nn.Linear(cfg.n_embd, cfg.vocab_size, bias=False)

    def forward(self, input_ids, labels=None):
        logits = self.lm_head(self.ln(self.blocks(self.tok(input_ids) + self.pos[:, :input_ids.size(1)])))
        loss = None
        if labels is not None:
            shift_logits = logits[:, :-1].contiguous()
            shift_labels = labels[:, 1:].contiguous()
            loss = F.cross_entropy(shift_logits.view(-1, shift_logits.size(-1)), shift_labels.view(-1))
        return logits, loss


text = write_corpus(650, np.random.default_rng(SEED))
stoi = {c: i for i, c in enumerate(sorted(set(text)))}
ids = torch.tensor([stoi[c] for c in text])
cut = int(0.9 * len(ids))
cfg = GPTConfig(vocab_size=len(stoi))
train_dl = DataLoader(CharDataset(ids[:cut], cfg.block_size), batch_size=32, shuffle=True, drop_last=True)
held = ids[cut:]

model = GPT(cfg)
optim = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
epochs = 6
steps = epochs * len(train_dl)
sched = torch.optim.lr_scheduler.LambdaLR(
    optim, lambda s: min(1.0, (s + 1) / 40) * 0.5 * (1 + math.cos(math.pi * min(1.0, s / steps))))

for epoch in range(epochs):
    model.train()
    tot = 0.0
    for x, y in train_dl:
        _, loss = model(x, labels=y)
        optim.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optim.step()
        sched.step()
        tot += loss.item()
    model.eval()
    with torch.no_grad():
        n = (len(held) - 1) // cfg.block_size
        x = held[:n * cfg.block_size].view(n, -1)
        y = held[1:n * cfg.block_size + 1].view(n, -1)
        logits, _ = model(x)
        acc = (logits.argmax(-1) == y).float().mean().item()
        nll = F.cross_entropy(logits.flatten(0, 1), y.flatten()).item()
    print(f"epoch {epoch + 1} train loss {tot / len(train_dl):.3f} | held-out next-char acc {acc:.4f} ppl {math.exp(nll):.2f}")
