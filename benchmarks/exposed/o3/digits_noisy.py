# Handwritten digits where the annotators were wrong in about a third of the cases.
# Generalised cross entropy (Zhang & Sabuncu 2018) instead of the plain one. Test labels are clean.
import os, random
import numpy as np, torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

d = load_digits()
X = torch.tensor(d.images / 16.0, dtype=torch.float32).unsqueeze(1)
y = torch.tensor(d.target)
idx = torch.randperm(len(X))
train, test = idx[:1300], idx[1300:]
noisy = y.clone()
wrong = torch.rand(len(y)) < 0.35
noisy[wrong] = torch.randint(0, 10, (int(wrong.sum()),))

def gce(logits, target, q):
    p = F.softmax(logits, 1).gather(1, target[:, None]).squeeze(1).clamp_min(1e-6)
    return ((1 - p ** q) / q).mean()

net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 24, 3, padding=1), torch.nn.BatchNorm2d(24), torch.nn.ReLU(),
    torch.nn.Conv2d(24, 48, 3, padding=1), torch.nn.BatchNorm2d(48), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(48, 64, 3, padding=1), torch.nn.BatchNorm2d(64), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(),
    torch.nn.Dropout(0.3), torch.nn.Linear(256, 10))
EPOCHS, LR, Q = 10, 2e-3, 0.8
opt = torch.optim.Adam(net.parameters(), lr=LR, weight_decay=1e-4)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=EPOCHS * 21)

for epoch in range(EPOCHS):
    net.train()
    perm = train[torch.randperm(len(train))]
    losses, hit = [], 0
    for b in perm.split(64):
        out = net(X[b])
        loss = gce(out, noisy[b], Q)
        opt.zero_grad(); loss.backward(); opt.step(); sched.step()
        losses.append(loss.item()); hit += (out.argmax(1) == noisy[b]).sum().item()
    if (epoch + 1) % 5 == 0:
        print(f"epoch {epoch+1}: loss {np.mean(losses):.3f}, agreement with the given labels {hit/len(train):.3f}")

net.eval()
with torch.no_grad():
    acc = (net(X[test]).argmax(1) == y[test]).float().mean().item()
print(f"accuracy on clean test labels: {acc:.4f}")
