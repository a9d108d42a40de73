# No labels while training: two random views of a digit should land together (InfoNCE).
# Labels are used at the end only, by a k-nearest-neighbour vote in the embedding.
import os, random
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

s = int(os.environ.get("SEED", 0)); random.seed(s); np.random.seed(s); torch.manual_seed(s)

imgs, lab = load_digits(return_X_y=True)
perm = np.random.permutation(len(imgs))
imgs = torch.tensor(imgs[perm] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
lab = lab[perm]
N = 1200
HID, STEPS, LR, TEMP = 128, 300, 2e-3, 0.2


def view(x):
    """small shift, rotation and zoom, different for every picture"""
    n = len(x)
    a = (torch.rand(n) - .5) * 0.6
    z = 1 + (torch.rand(n) - .5) * 0.3
    th = torch.zeros(n, 2, 3)
    th[:, 0, 0] = a.cos() * z; th[:, 0, 1] = -a.sin() * z
    th[:, 1, 0] = a.sin() * z; th[:, 1, 1] = a.cos() * z
    th[:, :, 2] = (torch.rand(n, 2) - .5) * 0.5
    x = F.grid_sample(x, F.affine_grid(th, list(x.shape), align_corners=False), align_corners=False)
    return x + 0.1 * torch.randn_like(x)


enc = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, HID), torch.nn.ReLU(),
                          torch.nn.Linear(HID, HID), torch.nn.ReLU())
proj = torch.nn.Linear(HID, 32)      # thrown away afterwards
opt = torch.optim.Adam([*enc.parameters(), *proj.parameters()], lr=LR)


def vote():
    with torch.no_grad():
        e = F.normalize(enc(imgs), dim=1).numpy()
    return KNeighborsClassifier(5).fit(e[:N], lab[:N]).score(e[N:], lab[N:])


print("untrained: %.4f" % vote())
for step in range(1, STEPS + 1):
    x = imgs[torch.randint(N, (256,))]
    a, b = (F.normalize(proj(enc(view(x))), dim=1) for _ in range(2))
    sim = a @ b.T / TEMP
    target = torch.arange(len(x))
    loss = (F.cross_entropy(sim, target) + F.cross_entropy(sim.T, target)) / 2
    opt.zero_grad(); loss.backward(); opt.step()
    if step % 50 == 0:
        print("step %d  infonce %.3f  knn on unseen digits %.4f" % (step, loss.item(), vote()))
