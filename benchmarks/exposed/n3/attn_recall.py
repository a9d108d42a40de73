"""Small transformer on associative recall: k1 v1 k2 v2 ... kq ? -> value stored with kq."""
import math, os
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
torch.manual_seed(SEED)
KEYS, VALS, PAIRS = 12, 8, 5


def make(n):
    keys = torch.rand(n, KEYS).argsort(1)[:, :PAIRS]
    vals = torch.randint(VALS, (n, PAIRS))
    pick = torch.randint(PAIRS, (n, 1))
    query = keys.gather(1, pick)
    return keys, vals, query, vals.gather(1, pick).squeeze(1)


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.att = nn.MultiheadAttention(d, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, h):
        z = self.n1(h)
        h = h + self.att(z, z, z, need_weights=False)[0]
        return h + self.mlp(self.n2(h))


class Recall(nn.Module):
    def __init__(self, d=32, depth=2):
        super().__init__()
        self.key, self.val, self.ask = nn.Embedding(KEYS, d), nn.Embedding(VALS, d), nn.Parameter(torch.zeros(d))
        self.blocks = nn.ModuleList(Block(d, 2) for _ in range(depth))
        self.norm, self.out = nn.LayerNorm(d), nn.Linear(d, VALS)

    def forward(self, keys, vals, query):
        h = torch.cat([self.key(keys) + self.val(vals), self.key(query) + self.ask], 1)
        for b in self.blocks:
            h = b(h)
        return self.out(self.norm(h[:, -1]))


model = Recall()
steps, warm = 1200, 100
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
sched = torch.optim.lr_scheduler.LambdaLR(
    opt, lambda s: (s + 1) / warm if s < warm else 0.5 * (1 + math.cos(math.pi * (s - warm) / (steps - warm))))
test = make(3000)
for step in range(1, steps + 1):
    k, v, q, a = make(128)
    loss = nn.functional.cross_entropy(model(k, v, q), a)
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    if step % 100 == 0:
        print(f"step {step:5d}  loss {loss.item():.4f}")
model.eval()
with torch.no_grad():
    acc = (model(*test[:3]).argmax(1) == test[3]).float().mean().item()
print("recall accuracy on fresh sequences %.4f" % acc)
