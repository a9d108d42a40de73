"""Healthy trainings that look hard: noise, imbalance, small nets, odd losses, many models. See ``suite``."""

# ruff: noqa: E501

from __future__ import annotations

from suite import (
    ACC,
    ACC1,
    BCE,
    BCEL,
    BLOBS,
    CE,
    CURVE,
    HOUSES,
    IMAGES,
    L2,
    LINE,
    MOONS,
    MSE,
    SERIES,
    S,
    cnn,
    full,
    loader,
    manual,
    mlp,
    net,
    opt,
)  # fmt: skip

HEALTHY: dict[str, str] = {
    "cox_likelihood": S(LINE, "time = torch.exp(-value / 3) * torch.empty(600).exponential_(); event = (torch.rand(600) < 0.7).float()[:450]; time = time[:450]\n",
        mlp(5, 1), opt(), """
for step in range(150):
    order = time.argsort(descending=True)
    score, seen = model(X).squeeze(1)[order], event[order]
    loss = -((score - torch.logcumsumexp(score, 0)) * seen).sum() / seen.sum()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""),
    "pairs_ranked": S(LINE, mlp(5, 1), opt(), """
for step in range(200):
    i, j = torch.randint(0, 450, (2, 64))
    sign = torch.sign(y[i] - y[j]).squeeze(1)
    loss = F.softplus(-sign * (model(X[i]) - model(X[j]))[:, 0]).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""),
    "both_sets_scored": S(LINE, "y = (value > 0).float()[:450]; yt = (value > 0).float()[450:]\n", mlp(5, 1), opt("Adam", "0.01"), """
def accuracy(a, b):
    with torch.no_grad():
        return ((model(a).squeeze(1) > 0) == (b > 0.5)).float().mean().item()
for epoch in range(20):
    for rows in torch.randperm(450).split(30):
        loss = F.binary_cross_entropy_with_logits(model(X[rows]).squeeze(1), y[rows])
        optimizer.zero_grad(); loss.backward(); optimizer.step()
    print(accuracy(X, y), accuracy(Xt, yt))
"""),
    "bound_climbed": S(LINE, "both = torch.cat([X, X[:, :1] + 0.5 * torch.randn(450, 1)], 1)\n", mlp(6, 1), "optimizer = torch.optim.Adam(model.parameters(), lr=0.003, maximize=True)\n", """
for step in range(200):
    apart = torch.cat([X, both[torch.randperm(450), 5:]], 1)
    bound = model(both).mean() - (torch.logsumexp(model(apart), 0) - math.log(450)).squeeze()
    optimizer.zero_grad(); bound.backward(); optimizer.step()
print(bound.item())
"""),
    "actions_weighed": S(LINE, mlp(5, 3), opt("Adam", "0.01"), """
for step in range(150):
    policy = torch.distributions.Categorical(logits=model(X))
    action = policy.sample()
    reward = (action == (X[:, 0] > 0).long() + (X[:, 1] > 0).long()).float() - 0.1 * torch.rand(450)
    loss = -(policy.log_prob(action) * (reward - reward.mean())).sum() / 450
    optimizer.zero_grad(); loss.backward(); optimizer.step()
print(reward.mean().item())
"""),
    "couplings_of_plain_nets": S(LINE, """
parts = nn.ModuleList(nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 4)) for _ in range(4))
optimizer = torch.optim.Adam(parts.parameters(), lr=0.005)
data = torch.cat([X[:, :1], X[:, :1] ** 2 + 0.3 * X[:, 1:2]], 1)
masks = torch.tensor([[0., 1.], [1., 0.]] * 2)
for step in range(200):
    z, volume = data, torch.zeros(450)
    for mask, part in zip(masks, parts):
        s, t = part(z * mask).chunk(2, 1)
        s, t = torch.tanh(s) * (1 - mask), t * (1 - mask)
        z = (1 - mask) * (z - t) * torch.exp(-s) + mask * z
        volume = volume - s.sum(1)
    loss = (0.5 * (z ** 2).sum(1) - volume).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
print(loss.item())
"""),
    "flow_from_identity": S(LINE, """
class Coupling(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 6))
        nn.init.zeros_(self.net[2].weight); nn.init.zeros_(self.net[2].bias)
    def forward(self, x):
        s, t = self.net(x[:, :2]).chunk(2, 1)
        return torch.cat([x[:, 2:] * torch.tanh(s).exp() + t, x[:, :2]], 1), torch.tanh(s).sum(1)
class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = Coupling(), Coupling()
    def forward(self, x):
        x, a = self.one(x)
        x, b = self.two(x)
        return (x ** 2).sum(1) / 2 - a - b
model = Flow()
""", opt(), "for step in range(200):\n    loss = model(X[torch.randint(0, 450, (64,))]).mean()\n    optimizer.zero_grad(); loss.backward(); optimizer.step()\n"),
    "blobs_plain": S(BLOBS, mlp(8, 4), CE, opt(), loader(), ACC),
    "images_plain": S(IMAGES, cnn(), CE, opt("SGD", "0.05", ", momentum=0.9"), loader(), ACC),
    "moons_bce": S(MOONS, mlp(2, 1, end="nn.Sigmoid()"), BCE, opt("Adam", "0.01"), loader(25), ACC1.format(p="model(Xt)")),
    "moons_logits": S(MOONS, mlp(2, 1), BCEL, opt("Adam", "0.01"), loader(25), ACC1.format(p="model(Xt).sigmoid()")),
    "curve_custom_loss": S(CURVE, net(), "net = Net(6, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.005)\n", manual("((prediction - y[rows]) ** 2).mean()", 60)),
    "line_sgd": S(LINE, mlp(5, 1), L2, opt("SGD", "0.01", ", momentum=0.9"), loader(20), MSE),
    "noisy_labels": S(BLOBS, "flip = torch.rand(len(y)) < 0.4; y = torch.where(flip, torch.randint(0, 4, y.shape), y)\n", mlp(8, 4), CE, opt("Adam", "0.002", ", weight_decay=1e-3"), loader(8), ACC),
    "noisy_regression": S(LINE, "y = y + 8 * torch.randn_like(y)\n", mlp(5, 1), L2, opt("Adam", "0.002"), loader(6), MSE),
    "imbalanced": S(BLOBS, "keep = (y != 0) | (torch.rand(len(y)) < 0.08); X, y = X[keep], y[keep]\n", mlp(8, 4), CE, opt(), loader(), ACC),
    "imbalanced_binary": S(LINE, "y = (X[:, 0] + 0.5 * torch.randn(len(X)) > 1.6).float().unsqueeze(1)\nyt = (Xt[:, 0] > 1.6).float().unsqueeze(1)\n", mlp(5, 1), BCEL, opt("Adam", "0.003"), loader(15), ACC1.format(p="model(Xt).sigmoid()")),
    "tiny_net": S(LINE, "model = nn.Linear(5, 1)\n", L2, opt("SGD", "0.05"), loader(20), MSE),
    "logistic": S(BLOBS, "model = nn.Linear(8, 4)\n", CE, opt("SGD", "0.1"), loader(15), ACC),
    "large_rate_works": S(BLOBS, mlp(8, 4), CE, opt("SGD", "0.8"), loader(15), ACC),
    "high_momentum": S(LINE, mlp(5, 1), L2, opt("SGD", "0.002", ", momentum=0.98, nesterov=True"), loader(30), MSE),
    "overparameterised": S(BLOBS, "X, y = X[:80], y[:80]\n", mlp(8, 4, h=512), CE, opt("Adam", "0.001"), loader(30), ACC),
    "random_labels_memorised": S(LINE, "y = torch.randint(0, 2, (len(X),))[:100]; X = X[:100]; yt = torch.randint(0, 2, (len(Xt),))\n", mlp(5, 2, h=256), CE, opt("Adam", "0.005"), loader(80), ACC),
    "early_plateau": S("X = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])\ny = torch.tensor([[0.], [1.], [1.], [0.]])\nmodel = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid())\n", BCE, opt("SGD", "1.0"), full(1500)),
    "gan": S("""
real = lambda n: torch.randn(n, 2) * 0.5 + torch.tensor([2., -1.])
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2)); D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
og = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.99)); od = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.99))
crit = nn.BCEWithLogitsLoss()
for step in range(400):
    x = real(64); z = torch.randn(64, 4)
    od.zero_grad(); l = crit(D(x), torch.ones(64, 1)) + crit(D(G(z).detach()), torch.zeros(64, 1)); l.backward(); od.step()
    og.zero_grad(); l = crit(D(G(z)), torch.ones(64, 1)); l.backward(); og.step()
"""),
    "autoencoder": S(BLOBS, "model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 8))\noptimizer = torch.optim.Adam(model.parameters(), lr=0.005)\n",
        "for epoch in range(20):\n    for i in range(0, len(X), 32):\n        xb = X[i:i + 32]\n        loss = F.mse_loss(model(xb), xb)\n        optimizer.zero_grad(); loss.backward(); optimizer.step()\n"),
    "vae": S(BLOBS, """
class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Linear(8, 32); self.m = nn.Linear(32, 3); self.v = nn.Linear(32, 3); self.d = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 8))
    def forward(self, x):
        h = torch.relu(self.e(x)); m, v = self.m(h), self.v(h)
        return self.d(m + torch.randn_like(m) * (0.5 * v).exp()), m, v
model = Vae(); optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(20):
    for xb in X.split(64):
        r, m, v = model(xb)
        loss = F.mse_loss(r, xb, reduction='sum') / len(xb) - 0.05 * (1 + v - m ** 2 - v.exp()).sum(1).mean()
        optimizer.zero_grad(); loss.backward(); optimizer.step()
"""),
    "lstm": S(SERIES, """
class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 24, batch_first=True); self.out = nn.Linear(24, 2)
    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h[:, -1])
model = Rnn()
""", CE, opt("Adam", "0.01"), loader(15), ACC),
    "transformer": S(SERIES, """
class T(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(3, 24); self.enc = nn.TransformerEncoderLayer(24, 4, 48, dropout=0.1, batch_first=True); self.out = nn.Linear(24, 2)
    def forward(self, x):
        return self.out(self.enc(self.up(x)).mean(1))
model = T()
""", CE, opt("AdamW", "0.002"), loader(8), ACC),
    "char_model": S("""
text = torch.tensor([ord(c) % 32 for c in 'the quick brown fox jumps over the lazy dog ' * 40])
model = nn.Sequential(nn.Embedding(32, 16), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(200):
    i = torch.randint(0, len(text) - 17, (16,)); x = torch.stack([text[j:j + 16] for j in i]); y = torch.stack([text[j + 1:j + 17] for j in i])
    loss = F.cross_entropy(model(x).reshape(-1, 32), y.reshape(-1))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""),
    "policy_gradient": S("""
policy = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)); optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
for step in range(200):
    s = torch.randn(32, 4); d = torch.distributions.Categorical(logits=policy(s)); a = d.sample()
    r = (a == s[:, :3].argmax(1)).float(); adv = r - r.mean()
    loss = -(d.log_prob(a) * adv).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""),
    "dqn_like": S("""
q = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 2)); target = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 2)); target.load_state_dict(q.state_dict())
optimizer = torch.optim.Adam(q.parameters(), lr=1e-3)
for step in range(300):
    s = torch.randn(32, 3); a = torch.randint(0, 2, (32, 1)); r = s[:, :1] * (2 * a - 1).float(); n = torch.randn(32, 3)
    with torch.no_grad(): goal = r + 0.9 * target(n).max(1, keepdim=True).values
    loss = F.smooth_l1_loss(q(s).gather(1, a), goal)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    if step % 50 == 0: target.load_state_dict(q.state_dict())
"""),
    "frozen_backbone": S(BLOBS, mlp(8, 4, h=64), CE, opt("Adam", "0.01"), loader(5), "\nfor p in model[:4].parameters(): p.requires_grad = False\nmodel[4] = nn.Linear(64, 4)\noptimizer = torch.optim.Adam(model[4].parameters(), lr=0.01)\n", loader(8), ACC),
    "two_optimizers": S(CURVE, mlp(6, 1), L2, "o1 = torch.optim.SGD(model[0].parameters(), lr=0.02); o2 = torch.optim.Adam(list(model[2].parameters()) + list(model[4].parameters()), lr=0.005)\n",
        "for epoch in range(40):\n    for i in range(0, len(X), 32):\n        o1.zero_grad(); o2.zero_grad()\n        loss = criterion(model(X[i:i + 32]), y[i:i + 32]); loss.backward()\n        o1.step(); o2.step()\n", MSE),
    "accumulation": S(BLOBS, mlp(8, 4), CE, opt("Adam", "0.01"), "loader = DataLoader(TensorDataset(X, y), batch_size=8, shuffle=True)\nfor epoch in range(15):\n    for i, (xb, yb) in enumerate(loader):\n        loss = criterion(model(xb), yb) / 4\n        loss.backward()\n        if i % 4 == 3:\n            optimizer.step(); optimizer.zero_grad()\n", ACC),
    "weight_tying": S("""
words = torch.randint(0, 20, (600, 2)); y = (words[:, 0] + words[:, 1]) % 20
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(20, 32); self.h = nn.Linear(64, 32); self.o = nn.Linear(32, 20); self.o.weight = self.e.weight
    def forward(self, w):
        return self.o(torch.relu(self.h(self.e(w).flatten(1))))
net = Tied(); X = words
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
""", manual("F.cross_entropy(prediction, y[rows])", 40)),
    "contrastive": S(BLOBS, """
enc = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16)); optimizer = torch.optim.Adam(enc.parameters(), lr=3e-3)
for step in range(150):
    xb = X[torch.randperm(len(X))[:64]]
    a = F.normalize(enc(xb + 0.1 * torch.randn_like(xb)), dim=1); b = F.normalize(enc(xb + 0.1 * torch.randn_like(xb)), dim=1)
    loss = F.cross_entropy(a @ b.T / 0.2, torch.arange(64))
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""),
    "unnormalised_but_works": S(HOUSES, "X = X / torch.tensor([100., 1., 1000., 10000.]); Xt = Xt / torch.tensor([100., 1., 1000., 10000.]); y, yt = y / 1e5, yt / 1e5\n", mlp(4, 1, h=64), L2, opt("Adam", "0.005"), loader(60), MSE),
    "dropout_batchnorm": S(IMAGES, "model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(1600, 4))\n", CE, opt("AdamW", "0.002", ", weight_decay=0.05"), loader(10), ACC),
    "pretrained_like_finetune": S(CURVE, mlp(6, 1, h=64), L2, opt("Adam", "0.005"), loader(30), opt("Adam", "1e-5"), loader(3), MSE),
    "cosine_schedule": S(CURVE, mlp(6, 1, h=64), L2, opt("AdamW", "0.01"), "scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)\n", loader(40).rstrip() + "\n    scheduler.step()\n", MSE),
    "warmup": S(BLOBS, mlp(8, 4), CE, opt("Adam", "0.01"), "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / 100))\n", loader(15).replace("        optimizer.step()\n", "        optimizer.step(); scheduler.step()\n"), ACC),
    "clipped": S(SERIES, "model = nn.Sequential(nn.Flatten(), nn.Linear(36, 64), nn.GELU(), nn.Linear(64, 2))\n", CE, opt("RMSprop", "0.002"), loader(12).replace("        optimizer.step()\n", "        nn.utils.clip_grad_norm_(model.parameters(), 0.5)\n        optimizer.step()\n"), ACC),
    "label_smoothing": S(BLOBS, mlp(8, 4), "criterion = nn.CrossEntropyLoss(label_smoothing=0.2)\n", opt(), loader(), ACC),
    "multilabel": S(BLOBS, "y = (X[:, :3] > 0).float(); yt = (Xt[:, :3] > 0).float()\n", mlp(8, 3), BCEL, opt("Adam", "0.01"), loader(), "model.eval()\nwith torch.no_grad(): print(((model(Xt) > 0).float() == yt).float().mean().item())\n"),
    "lbfgs": S(LINE, "model = nn.Linear(5, 1)\ncriterion = nn.MSELoss()\noptimizer = torch.optim.LBFGS(model.parameters(), lr=0.5)\ndef closure():\n    optimizer.zero_grad(); loss = criterion(model(X), y); loss.backward(); return loss\nfor _ in range(15): optimizer.step(closure)\n", MSE),
    "raw_tensors": S(LINE, "w = torch.zeros(5, 1, requires_grad=True); b = torch.zeros(1, requires_grad=True)\nfor step in range(200):\n    loss = ((X @ w + b - y) ** 2).mean()\n    loss.backward()\n    with torch.no_grad():\n        w -= 0.05 * w.grad; b -= 0.05 * b.grad\n        w.grad.zero_(); b.grad.zero_()\nprint(loss.item())\n"),
    "sum_loss_small_rate": S(LINE, mlp(5, 1), "criterion = nn.MSELoss(reduction='sum')\n", opt("Adam", "0.005"), loader(15), MSE),
    "full_batch": S(CURVE, mlp(6, 1, h=64), L2, opt("Adam", "0.01"), full(500), MSE),
    "poisson": S(LINE, "y = torch.poisson(torch.exp(0.5 * X[:, :1])); yt = torch.poisson(torch.exp(0.5 * Xt[:, :1]))\n", mlp(5, 1), "criterion = nn.PoissonNLLLoss()\n", opt("Adam", "0.003"), loader(10)),
    "siamese_distillation": S(BLOBS, mlp(8, 4), "teacher = model\n", CE, opt(), loader(8), mlp(8, 4, h=16), "optimizer = torch.optim.Adam(model.parameters(), lr=0.01)\nfor epoch in range(15):\n    for i in range(0, len(X), 32):\n        xb = X[i:i + 32]\n        with torch.no_grad(): soft = F.softmax(teacher(xb) / 2, 1)\n        loss = F.kl_div(F.log_softmax(model(xb) / 2, 1), soft, reduction='batchmean') * 4\n        optimizer.zero_grad(); loss.backward(); optimizer.step()\n", ACC),
    "amp_bfloat16": S(BLOBS, mlp(8, 4), CE, opt(), loader().replace("loss = criterion(model(xb), yb)", "\n        with torch.autocast('cpu', dtype=torch.bfloat16):\n            loss = criterion(model(xb), yb)"), ACC),
    "augmented_and_fine": S(IMAGES, cnn(), CE, opt("Adam", "0.003"), loader(15).replace("model(xb)", "model(xb + 0.3 * torch.randn_like(xb))"), ACC),
    "validation_rows_choose": S(BLOBS, "Xv, yv, X, y = X[:150], y[:150], X[150:], y[150:]\n", mlp(8, 4), CE, opt(), "best = 0\n", loader(12), """
    model.eval()
    with torch.no_grad():
        val_acc = (model(Xv).argmax(1) == yv).float().mean().item()
    if val_acc > best:
        best, kept = val_acc, {k: v.clone() for k, v in model.state_dict().items()}
model.load_state_dict(kept)
""", ACC.replace("accuracy", "test_accuracy")),
    "two_models_in_turn": S(BLOBS, mlp(8, 4, h=16), CE, opt(), loader(10), ACC, mlp(8, 4, h=64), opt("SGD", "0.1"), loader(12), ACC),
    "zero_last_layer": S(CURVE, mlp(6, 1, h=64), "nn.init.zeros_(model[4].weight)\n", L2, opt(), loader(40), MSE),
}  # fmt: skip
