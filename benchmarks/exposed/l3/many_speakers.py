# speaker identification from utterance embeddings: 400 classes, few recordings each
import os
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

N_CLS, PER, DIM = 400, 20, 64
proto = rng.normal(size=(N_CLS, 16))
mix1 = rng.normal(size=(16, 96)) / 4
mix2 = rng.normal(size=(96, DIM)) / np.sqrt(96)
lab = np.repeat(np.arange(N_CLS), PER)
latent = proto[lab] + 0.65 * rng.normal(size=(len(lab), 16))
feats = np.tanh(latent @ mix1) @ mix2 + 0.05 * rng.normal(size=(len(lab), DIM))
channel = rng.normal(size=(5, DIM)) * 0.15                 # five microphones
feats = feats + channel[rng.integers(5, size=len(lab))]

take = np.arange(len(lab)) % PER
tr, va, te = take < 14, (take >= 14) & (take < 16), take >= 16
mu, sd = feats[tr].mean(0), feats[tr].std(0)
feats = torch.tensor((feats - mu) / sd, dtype=torch.float32)
lab = torch.tensor(lab)


class CosineClassifier(nn.Module):
    def __init__(self, d_in, d_emb, n_cls, scale=16.0):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d_in, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, d_emb))
        self.weight = nn.Parameter(torch.empty(n_cls, d_emb))
        nn.init.xavier_uniform_(self.weight)
        self.scale = scale

    def forward(self, x):
        return self.scale * F.linear(F.normalize(self.body(x)), F.normalize(self.weight))


def accuracy(model, mask, k=1):
    model.eval()
    with torch.no_grad():
        top = model(feats[mask]).topk(k, dim=1).indices
    return (top == lab[mask][:, None]).any(1).float().mean().item()


EPOCHS, LR = 30, 3e-3
dl = DataLoader(TensorDataset(feats[tr], lab[tr]), batch_size=128, shuffle=True)
model = CosineClassifier(DIM, 64, N_CLS)
opt = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-2)
sch = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=EPOCHS * len(dl))
for epoch in range(EPOCHS):
    model.train()
    s = 0.0
    for x, y in dl:
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sch.step()
        s += loss.item()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1}: loss {s / len(dl):.3f}  val top-1 {accuracy(model, va):.3f}  val top-5 {accuracy(model, va, 5):.3f}")

print(f"test top-5 {accuracy(model, te, 5):.4f}")
print(f"test top-1 {accuracy(model, te):.4f}")
