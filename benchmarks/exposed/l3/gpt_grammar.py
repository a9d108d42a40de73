"""
A minimal GPT trained on sentences of a small probabilistic grammar.
In the spirit of karpathy/minGPT: everything in one file.
"""
import os, math, random
import torch
import torch.nn as nn
from torch.nn import functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
torch.manual_seed(SEED)

block_size, n_embd, n_head, n_layer = 32, 64, 4, 2
batch_size, max_iters, warmup, learning_rate = 32, 400, 40, 3e-3

RULES = {
    "S": ["NP VP .", "NP VP and NP VP .", "PP , NP VP ."],
    "NP": ["DET N", "DET ADJ N", "NAME"],
    "VP": ["V NP", "V NP PP", "VI", "VI ADV"],
    "PP": ["near NP", "with NP"],
    "DET": ["the", "a", "this"], "N": ["cat", "dog", "bird", "house", "river"], "ADJ": ["red", "small", "quiet"],
    "NAME": ["anna", "ben", "carla"], "V": ["sees", "likes", "follows"], "VI": ["sleeps", "runs"], "ADV": ["well", "slowly"],
}


def expand(sym):
    if sym not in RULES:
        return sym
    return " ".join(expand(s) for s in random.choice(RULES[sym]).split(" "))


words = " \n ".join(expand("S") for _ in range(9000)).split(" ")
vocab = sorted(set(words))
stoi = {w: i for i, w in enumerate(vocab)}
data = torch.tensor([stoi[w] for w in words])
n = int(0.9 * len(data))
train_data, val_data = data[:n], data[n:]


def get_batch(split):
    d = train_data if split == "train" else val_data
    ix = torch.randint(len(d) - block_size - 1, (batch_size,))
    return torch.stack([d[i:i + block_size] for i in ix]), torch.stack([d[i + 1:i + 1 + block_size] for i in ix])


class CausalSelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn = nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, n_head, C // n_head).transpose(1, 2) for t in self.c_attn(x).split(n_embd, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.attn = CausalSelfAttention()
        self.mlp = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, n_embd), nn.Embedding(block_size, n_embd)
        self.h = nn.Sequential(*[Block() for _ in range(n_layer)])
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, vocab, bias=False)
        self.lm_head.weight = self.wte.weight  # weight tying
        self.apply(self._init)

    @staticmethod
    def _init(m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.normal_(m.weight, std=0.02)

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        logits = self.lm_head(self.ln_f(self.h(x)))
        loss = None if targets is None else F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))
        return logits, loss


@torch.no_grad()
def estimate_loss(iters=10):
    model.eval()
    out = {s: sum(model(*get_batch(s))[1].item() for _ in range(iters)) / iters for s in ("train", "val")}
    model.train()
    return out


def get_lr(it):
    if it < warmup:
        return learning_rate * (it + 1) / warmup
    r = (it - warmup) / (max_iters - warmup)
    return 0.1 * learning_rate + 0.45 * learning_rate * (1 + math.cos(math.pi * r))


model = GPT(len(vocab))
print(sum(p.numel() for p in model.parameters()), "parameters,", len(data), "tokens")
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
for it in range(max_iters):
    for g in optimizer.param_groups:
        g["lr"] = get_lr(it)
    _, loss = model(*get_batch("train"))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if it % 100 == 0:
        e = estimate_loss()
        print(f"step {it}: train {e['train']:.4f} val {e['val']:.4f}")

print(f"final val loss {estimate_loss(60)['val']:.4f}")
