# A very small decoder-only transformer that sorts letters (after minGPT's demo); input and output embeddings tied.
import os, random, math
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

LENGTH, VOCAB = 7, 8          # seven symbols out of eight
BLOCK = 2 * LENGTH - 1

def tensors(n):
    inp = torch.randint(VOCAB, (n, LENGTH))
    z = torch.cat([inp, inp.sort(1).values], 1)
    x, y = z[:, :-1].clone(), z[:, 1:].clone()
    y[:, : LENGTH - 1] = -1          # no loss on the question itself
    return x, y

class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.h = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = [t.view(B, T, self.h, C // self.h).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, -1)]
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp(self.ln2(x))

class GPT(nn.Module):
    def __init__(self, vocab, d=48, layers=2, heads=4):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(BLOCK, d)
        self.blocks = nn.Sequential(*[Block(d, heads) for _ in range(layers)])
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, vocab, bias=False)
        self.apply(self._init)
        self.head.weight = self.tok.weight

    def _init(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.normal_(m.weight, std=0.05)
            if getattr(m, "bias", None) is not None:
                nn.init.zeros_(m.bias)

    def forward(self, idx):
        return self.head(self.ln(self.blocks(self.tok(idx) + self.pos.weight[: idx.shape[1]])))

net = GPT(VOCAB)
X, Y = tensors(6000)
Xv, Yv = tensors(1000)
EPOCHS, B = 6, 64
steps = EPOCHS * math.ceil(len(X) / B)
opt = torch.optim.AdamW(net.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.05)
warm = 100
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min((s + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1, s / steps)))))
for epoch in range(EPOCHS):
    net.train()
    for b in torch.randperm(len(X)).split(B):
        loss = F.cross_entropy(net(X[b]).flatten(0, 1), Y[b].flatten(), ignore_index=-1)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step(); sched.step()
    net.eval()
    with torch.no_grad():
        lv = net(Xv)
        vl = F.cross_entropy(lv.flatten(0, 1), Yv.flatten(), ignore_index=-1).item()
        hit = (lv.argmax(-1) == Yv)[:, LENGTH - 1:].all(1).float().mean().item()
    print(f"epoch {epoch}: train {loss.item():.4f} val {vl:.4f} | sequences right {hit:.4f}")
