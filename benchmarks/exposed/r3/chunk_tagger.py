"""Token tagging with a small transformer encoder; bfloat16 autocast and gradient accumulation as on the big machine."""
import os
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@dataclass
class Config:
    vocab: int = 120
    tags: int = 5
    length: int = 12
    dim: int = 32
    heads: int = 4
    layers: int = 2
    batch: int = 32
    accumulate: int = 2
    lr: float = 4e-3
    epochs: int = 8
    rows: int = 3000


def sentences(cfg, n, words):
    """hidden Markov text: tags follow a chain, ambiguous words need their neighbours"""
    chain = np.array([[.05, .6, .25, .05, .05], [.1, .2, .1, .5, .1], [.05, .8, .05, .05, .05], [.4, .1, .2, .05, .25], [.5, .2, .2, .05, .05]])
    x, y = np.zeros((n, cfg.length), np.int64), np.zeros((n, cfg.length), np.int64)
    tag = np.random.randint(0, cfg.tags, n)
    for t in range(cfg.length):
        tag = (np.random.rand(n, 1) > chain[tag].cumsum(1)).sum(1).clip(0, cfg.tags - 1)
        y[:, t] = tag
        x[:, t] = (np.random.rand(n, 1) > words[tag].cumsum(1)).sum(1).clip(0, cfg.vocab - 1)
    return torch.from_numpy(x), torch.from_numpy(y), chain


class Tagger(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.word = nn.Embedding(cfg.vocab, cfg.dim)
        self.local = nn.Conv1d(cfg.dim, cfg.dim, 3, padding=1)          # convolutional position encoding
        layer = nn.TransformerEncoderLayer(cfg.dim, cfg.heads, 2 * cfg.dim, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, cfg.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(cfg.dim)
        self.head = nn.Linear(cfg.dim, cfg.tags)

    def forward(self, x):
        e = self.word(x)
        e = e + self.local(e.transpose(1, 2)).transpose(1, 2)
        return self.head(self.norm(self.encoder(e)))


def viterbi_free_bayes(x, words, chain):
    """posterior tags under the true model, forward-backward"""
    n, t = x.shape
    emit = words[:, x.numpy()].transpose(1, 2, 0)
    f, b = [np.ones((n, chain.shape[0])) / chain.shape[0] @ chain * emit[:, 0]], [np.ones((n, chain.shape[0]))]
    for i in range(1, t):
        a = f[-1] @ chain * emit[:, i]
        f.append(a / a.sum(1, keepdims=True))
        c = (b[0] * emit[:, t - i]) @ chain.T
        b.insert(0, c / c.sum(1, keepdims=True))
    return np.stack([p * q for p, q in zip(f, b)], 1).argmax(-1)


def main():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    cfg = Config()
    words = np.random.gamma(0.15, size=(cfg.tags, cfg.vocab)) + 1e-4
    words /= words.sum(1, keepdims=True)
    x, y, chain = sentences(cfg, cfg.rows, words)
    xt, yt, _ = sentences(cfg, 1000, words)
    model = Tagger(cfg)
    loader = DataLoader(TensorDataset(x, y), batch_size=cfg.batch, shuffle=True, drop_last=True)
    opt = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.01)
    updates = cfg.epochs * (len(loader) // cfg.accumulate + 1)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1, (s + 1) / 30) * max(0.02, 1 - s / updates))
    for ep in range(cfg.epochs):
        model.train()
        total = 0.0
        for i, (xb, yb) in enumerate(loader, 1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = model(xb)
            loss = nn.functional.cross_entropy(out.float().flatten(0, 1), yb.flatten())
            (loss / cfg.accumulate).backward()
            total += loss.item()
            if i % cfg.accumulate == 0 or i == len(loader):
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                opt.step()
                opt.zero_grad(set_to_none=True)
                sched.step()
        print(f"epoch {ep + 1}: loss {total / len(loader):.4f}")
    model.eval()
    with torch.no_grad():
        acc = (model(xt).argmax(-1) == yt).float().mean().item()
    best = (viterbi_free_bayes(xt, words, chain) == yt.numpy()).mean()
    print(f"tags right: exact posterior {best:.4f}, transformer {acc:.4f}")


if __name__ == "__main__":
    main()
