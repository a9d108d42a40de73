import os, math, random
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

# ratings 1..5, a latent taste model with user and item biases, about 8 % observed
n_users, n_items, r = 600, 400, 4
P, Q = np.random.randn(n_users, r), np.random.randn(n_items, r)
score = 3.4 + 0.4 * np.random.randn(n_users, 1) + 0.5 * np.random.randn(1, n_items) + 0.35 * P @ Q.T
rows, cols = np.nonzero(np.random.rand(n_users, n_items) < 0.08)
stars = np.clip(np.rint(score[rows, cols] + 0.5 * np.random.randn(len(rows))), 1, 5)

perm = np.random.permutation(len(rows))
n_test = len(rows) // 5
u, i, s = (torch.as_tensor(a[perm]) for a in (rows, cols, stars.astype(np.float32)))
u_te, i_te, s_te = u[:n_test], i[:n_test], s[:n_test]
u_tr, i_tr, s_tr = u[n_test:], i[n_test:], s[n_test:]
print(len(s_tr), "ratings,", n_users, "users,", n_items, "items")


class BiasedMF(torch.nn.Module):
    def __init__(self, k, mean):
        super().__init__()
        self.mean = mean
        self.pu = torch.nn.Embedding(n_users, k)
        self.qi = torch.nn.Embedding(n_items, k)
        self.bu = torch.nn.Embedding(n_users, 1)
        self.bi = torch.nn.Embedding(n_items, 1)
        for e in (self.pu, self.qi):
            torch.nn.init.normal_(e.weight, std=0.1)
        for e in (self.bu, self.bi):
            torch.nn.init.zeros_(e.weight)

    def forward(self, u, i):
        return self.mean + self.bu(u).squeeze(1) + self.bi(i).squeeze(1) + (self.pu(u) * self.qi(i)).sum(1)


K, LAMBDA, LR, EPOCHS = 6, 0.08, 0.03, 30
model = BiasedMF(K, s_tr.mean().item())
opt = torch.optim.Adam(model.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
for epoch in range(EPOCHS):
    sq = 0.0
    for b in torch.randperm(len(s_tr)).split(512):
        uu, ii = u_tr[b], i_tr[b]
        err = model(uu, ii) - s_tr[b]
        reg = model.pu(uu).pow(2).sum(1) + model.qi(ii).pow(2).sum(1) + 0.3 * (model.bu(uu).pow(2) + model.bi(ii).pow(2)).sum(1)
        loss = (err.pow(2) + LAMBDA * reg).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        sq += err.detach().pow(2).sum().item()
    sched.step()
    if epoch % 5 == 4:
        print(f"epoch {epoch + 1:2d} train rmse {math.sqrt(sq / len(s_tr)):.4f}")

with torch.no_grad():
    pred = model(u_te, i_te).clamp(1, 5)
    print("predicting the mean gives", (s_te - s_tr.mean()).pow(2).mean().sqrt().item())
    print("test rmse", round((pred - s_te).pow(2).mean().sqrt().item(), 4))
