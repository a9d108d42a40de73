"""Scripts written after the rules were fixed, in other styles and on other data than the suite's. See ``suite``."""

# ruff: noqa: E501

from __future__ import annotations

from suite import HEAD

DIGITS = (
    HEAD
    + """
import numpy as np
rng = np.random.default_rng(SEED)
proto = rng.random((10, 8, 8)) * 16
target = rng.integers(0, 10, 1200)
images = np.clip(proto[target] + rng.normal(0, 4, (1200, 8, 8)), 0, 16)
train_x, test_x, train_y, test_y = images[:900], images[900:], target[:900], target[900:]
"""
)
TITANIC = (
    HEAD
    + """
import numpy as np
rng = np.random.default_rng(SEED)
n = 900
age = rng.normal(30, 12, n).clip(1, 80); fare = rng.lognormal(3, 1, n); sex = rng.integers(0, 2, n); klass = rng.integers(1, 4, n)
logit = 2.5 * sex - 0.03 * age - 0.8 * klass + 0.01 * fare + 1.2
survived = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype('float32')
table = np.stack([(age - 30) / 12, np.log(fare) - 3, sex, klass - 2], 1).astype('float32')
x_train, x_test = torch.from_numpy(table[:700]), torch.from_numpy(table[700:])
y_train, y_test = torch.from_numpy(survived[:700]), torch.from_numpy(survived[700:])
"""
)
SINE = (
    HEAD
    + """
x = torch.linspace(-3, 3, 400).unsqueeze(1)
y = torch.sin(2 * x) + 0.05 * torch.randn(400, 1)
perm = torch.randperm(400); x, y = x[perm], y[perm]
"""
)
IRIS = (
    HEAD
    + """
mu = torch.tensor([[5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3], [6.6, 3.0, 5.6, 2.0]])
sd = torch.tensor([[.35, .38, .17, .1], [.5, .3, .47, .2], [.6, .3, .55, .27]])
species = torch.arange(150) // 50
flowers = mu[species] + sd[species] * torch.randn(150, 4)
perm = torch.randperm(150); flowers, species = flowers[perm], species[perm]
"""
)
CIRCLE = (
    HEAD
    + """
import numpy as np
r = np.random.RandomState(SEED)
pts = r.uniform(-6, 6, (1000, 2)).astype('float32'); lab = ((pts ** 2).sum(1) < 16).astype('int64')
pts, lab = torch.tensor(pts), torch.tensor(lab)
"""
)
TEXT = (
    HEAD
    + """
vocab, length, n = 60, 10, 900
docs = torch.randint(2, vocab, (n, length)); good = torch.randint(0, 2, (n,))
mark = torch.randint(0, length, (n,)); docs[torch.arange(n), mark] = torch.where(good == 1, 0, 1)
"""
)

DIGIT_NET = """
class DigitNet(nn.Module):
    def __init__(self):
        super(DigitNet, self).__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 12, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(12 * 16, 48), nn.ReLU(), nn.Linear(48, 10))
    def forward(self, x):
        x = self.conv(x)
        x = x.view(x.size(0), -1)
        return {end}

class Digits(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x = torch.tensor(x, dtype=torch.float32).unsqueeze(1){scale}
        self.y = torch.tensor(y)
    def __len__(self): return len(self.x)
    def __getitem__(self, i): return self.x[i], self.y[i]

train_loader = DataLoader(Digits(train_x, train_y), batch_size=50, shuffle=True)
test_loader = DataLoader(Digits(test_x, test_y), batch_size=100)

def train(model, loader, optimizer, criterion):
    model.train()
    total = 0.0
    for data, target in loader:
        optimizer.zero_grad()
        output = model(data)
        loss = criterion(output, target)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)

def test(model, loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in loader:
            pred = model(data).argmax(dim=1, keepdim=True)
            correct += pred.eq(target.view_as(pred)).sum().item()
    return correct / len(loader.dataset)

def main():
    model = DigitNet()
    {setup}
    for epoch in range({epochs}):
        print(epoch, train(model, train_loader, optimizer, criterion), test(model, test_loader))

if __name__ == '__main__':
    main()
"""


def digits(setup: str, *, end: str = "self.classifier(x)", scale: str = " / 16", epochs: int = 8) -> str:
    """Return a script in the style of the MNIST example."""
    text = DIGIT_NET.replace("{setup}", setup.replace("\n", "\n    ")).replace("{end}", end)
    return DIGITS + text.replace("{scale}", scale).replace("{epochs}", str(epochs))


ADAM = "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\ncriterion = nn.CrossEntropyLoss()"

TITANIC_LOOP = """
class LogReg(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(4, 16); self.l2 = nn.Linear(16, 1); self.drop = nn.Dropout({p})
    def forward(self, x):
        h = torch.tanh(self.l1(x))
        return {end}
clf = LogReg()
{setup}
for it in range({steps}):
    clf.train()
    opt.zero_grad()
    p = clf(x_train){tail}
    loss = lossf(p, y_train)
    loss.backward()
    opt.step()
clf.eval()
with torch.no_grad():
    acc = ((clf(x_test).squeeze(1) > {cut}).float() == y_test).float().mean()
print('test acc', float(acc))
"""


def titanic(
    setup: str,
    *,
    end: str = "self.l2(self.drop(h))",
    steps: int = 400,
    tail: str = ".squeeze(1)",
    cut: str = "0",
    p: str = "0.0",
) -> str:
    """Return a full-batch binary script."""
    out = TITANIC_LOOP
    for k, v in {"setup": setup, "end": end, "steps": str(steps), "tail": tail, "cut": cut, "p": p}.items():
        out = out.replace("{" + k + "}", v)
    return TITANIC + out


BCEL = "opt = torch.optim.Adam(clf.parameters(), lr=0.02); lossf = nn.BCEWithLogitsLoss()"

SINE_LOOP = """
f = nn.Sequential(nn.Linear(1, 50), {act}, nn.Linear(50, 50), {act}, nn.Linear(50, 1){end})
{setup}
for k in range({steps}):
    i = torch.randint(0, 300, (40,))
    l = {loss}
    o.zero_grad(); l.backward(); o.step()
with torch.no_grad():
    print(F.mse_loss(f(x[300:]), y[300:]).item())
"""


def sine(
    setup: str = "o = torch.optim.Adam(f.parameters(), lr=5e-3)",
    *,
    act: str = "nn.Tanh()",
    end: str = "",
    steps: int = 1200,
    loss: str = "F.mse_loss(f(x[i]), y[i])",
) -> str:
    """Return a curve-fitting script."""
    out = SINE_LOOP
    for k, v in {"setup": setup, "act": act, "end": end, "steps": str(steps), "loss": loss}.items():
        out = out.replace("{" + k + "}", v)
    return SINE + out


IRIS_LOOP = """
model = nn.Sequential(nn.Linear(4, 10), {act}, nn.Linear(10, 3){end})
{setup}
for epoch in range({epochs}):
    y_pred = model(flowers[:120])
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    print((torch.max(model(flowers[120:]), 1)[1] == species[120:]).sum().item() / 30)
"""


def iris(
    setup: str = "optimizer = torch.optim.Adam(model.parameters(), lr=0.02)",
    *,
    act: str = "nn.ReLU()",
    end: str = "",
    epochs: int = 300,
    loss: str = "F.cross_entropy(y_pred, species[:120])",
) -> str:
    """Return a script on 120 rows."""
    out = IRIS_LOOP
    for k, v in {"setup": setup, "act": act, "end": end, "epochs": str(epochs), "loss": loss}.items():
        out = out.replace("{" + k + "}", v)
    return IRIS + out


CIRCLE_LOOP = """
net = nn.Sequential(nn.Linear(2, {h}), {act}, nn.Linear({h}, {h}), {act}, nn.Linear({h}, 2))
{setup}
ds = DataLoader(TensorDataset(pts[:800], lab[:800]), batch_size={bs}, shuffle=True)
ce = nn.CrossEntropyLoss()
for e in range({epochs}):
    for a, b in ds:
        out = net(a); l = ce(out, b)
        sgd.zero_grad(); l.backward(); sgd.step()
net.eval()
print((net(pts[800:]).argmax(1) == lab[800:]).float().mean().item())
"""


def circle(setup: str, *, h: int = 32, act: str = "nn.ReLU()", bs: int = 32, epochs: int = 15) -> str:
    """Return a two-class script on the plane."""
    out = CIRCLE_LOOP
    for k, v in {"setup": setup, "h": str(h), "act": act, "bs": str(bs), "epochs": str(epochs)}.items():
        out = out.replace("{" + k + "}", v)
    return CIRCLE + out


TEXT_LOOP = """
class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(vocab, 16); self.rnn = nn.GRU(16, 24, batch_first=True); self.fc = nn.Linear(24, 2)
    def forward(self, t):
        _, h = self.rnn(self.emb(t))
        return self.fc(h[-1])
reader = Reader()
{setup}
for epoch in range({epochs}):
    for i in range(0, 700, 50):
        logits = reader(docs[i:i+50])
        loss = F.cross_entropy(logits, good[i:i+50])
        opt.zero_grad(); loss.backward(); opt.step()
reader.eval()
with torch.no_grad():
    print((reader(docs[700:]).argmax(-1) == good[700:]).float().mean().item())
"""


def text(setup: str = "opt = torch.optim.Adam(reader.parameters(), lr=5e-3)", *, epochs: int = 12) -> str:
    """Return a script on token sequences."""
    return TEXT + TEXT_LOOP.replace("{setup}", setup).replace("{epochs}", str(epochs))


FAULTY: dict[str, tuple[tuple[str, ...], str]] = {
    "digits_softmax": (("output-activation", "loss-mismatch"), digits(ADAM, end="F.softmax(self.classifier(x), dim=1)")),
    "digits_logsoftmax_missing": (("loss-mismatch", "output-activation"), digits(ADAM.replace("CrossEntropy", "NLL"))),
    "digits_sgd_tiny": (("lr-too-low",), digits("optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)\ncriterion = nn.CrossEntropyLoss()")),
    "digits_adam_huge": (("lr-too-high",), digits("optimizer = torch.optim.Adam(model.parameters(), lr=0.5)\ncriterion = nn.CrossEntropyLoss()")),
    "digits_one_epoch": (("too-few-epochs", "lr-too-low"), digits("optimizer = torch.optim.SGD(model.parameters(), lr=0.01)\ncriterion = nn.CrossEntropyLoss()", epochs=1)),
    "digits_wrong_model": (("optimizer-params",), digits("optimizer = torch.optim.Adam(DigitNet().parameters(), lr=1e-3)\ncriterion = nn.CrossEntropyLoss()")),
    "digits_only_conv": (("optimizer-params",), digits("optimizer = torch.optim.SGD(model.conv.parameters(), lr=1e-2)\ncriterion = nn.CrossEntropyLoss()", epochs=4)),
    "digits_zero": (("bad-init",), digits("for p in model.parameters():\n    nn.init.constant_(p, 0.0)\n" + ADAM)),
    "digits_unscaled": (("input-scale",), digits("optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\ncriterion = nn.CrossEntropyLoss()", scale=" * 16", epochs=5)),
    "digits_decay": (("over-regularised",), digits("optimizer = torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=0.5)\ncriterion = nn.CrossEntropyLoss()")),
    "digits_shift": (("labels-damaged",), digits("global train_loader\ntrain_loader = DataLoader(Digits(train_x, np.roll(train_y, 1)), batch_size=50, shuffle=True)\n" + ADAM)),
    "digits_exp_schedule": (("schedule", "lr-too-low"), digits("optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\nclass C(nn.CrossEntropyLoss):\n    def forward(self, a, b):\n        for g in optimizer.param_groups: g['lr'] *= 0.8\n        return super().forward(a, b)\ncriterion = C()")),
    "titanic_broadcast": (("shape-broadcast",), titanic("opt = torch.optim.Adam(clf.parameters(), lr=0.02); lossf = nn.MSELoss()\nimport warnings; warnings.filterwarnings('ignore')", tail="", cut="0.5")),
    "titanic_softmax": (("output-activation",), titanic("opt = torch.optim.Adam(clf.parameters(), lr=0.02); lossf = nn.BCELoss()", end="F.softmax(self.l2(h), dim=1)", cut="0.5")),
    "titanic_sigmoid_twice": (("output-activation", "loss-mismatch"), titanic(BCEL, end="torch.sigmoid(self.l2(h))", cut="0.5")),
    "titanic_no_zero": (("missing-zero-grad",), titanic("opt = torch.optim.SGD(clf.parameters(), lr=0.5); lossf = nn.BCEWithLogitsLoss()").replace("    opt.zero_grad()\n", "")),
    "titanic_no_step": (("missing-step",), titanic(BCEL).replace("    opt.step()\n", "")),
    "titanic_minus": (("gradient-ascent",), titanic(BCEL).replace("loss.backward()", "(-loss).backward()")),
    "titanic_labels_int": (("labels-damaged",), titanic("y_train = (y_train / 2).int().float()\n" + BCEL)),
    "sine_linear": (("missing-nonlinearity", "capacity-too-small"), sine(act="nn.Identity()")),
    "sine_sigmoid_out": (("output-activation",), sine(end=", nn.Sigmoid()")),
    "sine_relu_out": (("output-activation",), sine(end=", nn.ReLU()")),
    "sine_nan": (("nonfinite",), sine(loss="torch.log((f(x[i]) - y[i]) - 0.5).pow(2).mean()")),
    "sine_huge_sgd": (("lr-too-high", "nonfinite"), sine("o = torch.optim.SGD(f.parameters(), lr=3.0)", act="nn.ReLU()")),
    "sine_sum": (("loss-reduction", "lr-too-high"), sine("o = torch.optim.SGD(f.parameters(), lr=0.1)", act="nn.ReLU()", loss="((f(x[i]) - y[i]) ** 2).sum()")),
    "sine_big_target": (("target-scale",), sine("y = y * 5000 + 20000\no = torch.optim.Adam(f.parameters(), lr=5e-3)")),
    "sine_few": (("too-few-epochs", "lr-too-low"), sine(steps=25)),
    "iris_tiny_rate": (("lr-too-low", "too-few-epochs"), iris("optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)")),
    "iris_few": (("too-few-epochs", "lr-too-low"), iris("optimizer = torch.optim.Adam(model.parameters(), lr=0.001)", epochs=10)),
    "iris_frozen": (("optimizer-params",), iris("for p in model.parameters(): p.requires_grad_(False)\nmodel[2].bias.requires_grad_(True)\noptimizer = torch.optim.Adam(model.parameters(), lr=0.02)")),
    "iris_one_hot_mse_softmax": (("loss-mismatch", "lr-too-low", "too-few-epochs"), iris("optimizer = torch.optim.SGD(model.parameters(), lr=0.05)", end=", nn.Softmax(dim=1)", loss="F.mse_loss(y_pred, F.one_hot(species[:120], 3).float())")),
    "circle_narrow": (("capacity-too-small",), circle("sgd = torch.optim.Adam(net.parameters(), lr=0.01)", h=1)),
    "circle_linear": (("missing-nonlinearity", "capacity-too-small"), circle("sgd = torch.optim.Adam(net.parameters(), lr=0.01)", act="nn.Identity()")),
    "circle_big_weights": (("bad-init", "saturation"), circle("for m in net:\n    if hasattr(m, 'weight'): m.weight.data.normal_(0, 50)\nsgd = torch.optim.SGD(net.parameters(), lr=0.001)", act="nn.Sigmoid()")),
    "circle_dead": (("dead-relu", "bad-init"), circle("net[0].bias.data.fill_(-100)\nsgd = torch.optim.SGD(net.parameters(), lr=0.01)")),
    "circle_deep_sigmoid": (("vanishing-gradient", "depth-without-residual", "saturation"), circle("net = nn.Sequential(nn.Linear(2, 24), nn.Sigmoid(), *[m for _ in range(8) for m in (nn.Linear(24, 24), nn.Sigmoid())], nn.Linear(24, 2))\nsgd = torch.optim.SGD(net.parameters(), lr=0.1)")),
    "text_huge": (("lr-too-high",), text("opt = torch.optim.Adam(reader.parameters(), lr=1.0)")),
    "text_tiny": (("lr-too-low",), text("opt = torch.optim.Adam(reader.parameters(), lr=1e-6)")),
    "text_shuffled": (("labels-damaged",), text("good[:700] = good[:700][torch.randperm(700)]\nopt = torch.optim.Adam(reader.parameters(), lr=5e-3)", epochs=5)),
    "titanic_dropout": (("over-regularised",), titanic("opt = torch.optim.SGD(clf.parameters(), lr=0.05); lossf = nn.BCEWithLogitsLoss()", p="0.97")),
}  # fmt: skip

HEALTHY: dict[str, str] = {
    "digits": digits(ADAM, epochs=10),
    "digits_sgd_momentum": digits("optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)\ncriterion = nn.CrossEntropyLoss()", epochs=10),
    "digits_log_softmax": digits(ADAM.replace("CrossEntropy", "NLL"), end="F.log_softmax(self.classifier(x), dim=1)", epochs=10),
    "digits_unscaled_fine": digits(ADAM, scale="", epochs=8),
    "titanic": titanic(BCEL),
    "titanic_dropout": titanic(BCEL, p="0.3"),
    "titanic_bce": titanic("opt = torch.optim.Adam(clf.parameters(), lr=0.02); lossf = nn.BCELoss()", end="torch.sigmoid(self.l2(h))", cut="0.5"),
    "titanic_mse_brier": titanic("opt = torch.optim.Adam(clf.parameters(), lr=0.02); lossf = nn.MSELoss()", end="torch.sigmoid(self.l2(h))", cut="0.5"),
    "sine": sine(), "sine_huber": sine(loss="F.huber_loss(f(x[i]), y[i])"), "sine_l1": sine(loss="(f(x[i]) - y[i]).abs().mean()"),
    "sine_rmse": sine(loss="torch.sqrt(((f(x[i]) - y[i]) ** 2).mean())"),
    "sine_quantile": sine(loss="torch.max(0.9 * (y[i] - f(x[i])), -0.1 * (y[i] - f(x[i]))).mean()"),
    "sine_heteroscedastic": sine(loss="F.gaussian_nll_loss(f(x[i]), y[i], torch.full_like(y[i], 0.1))"),
    "iris": iris(), "iris_sgd": iris("optimizer = torch.optim.SGD(model.parameters(), lr=0.1)", epochs=500),
    "iris_manual_ce": iris(loss="-F.log_softmax(y_pred, 1)[torch.arange(120), species[:120]].mean()"),
    "circle": circle("sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)"),
    "circle_onecycle": circle("sgd = torch.optim.Adam(net.parameters(), lr=0.01)", act="nn.SiLU()", epochs=25),
    "circle_noisy": circle("flip = torch.rand(1000) < 0.25; lab = torch.where(flip, 1 - lab, lab)\nsgd = torch.optim.Adam(net.parameters(), lr=0.005)", epochs=10),
    "text": text(), "text_adamw": text("opt = torch.optim.AdamW(reader.parameters(), lr=1e-2, weight_decay=0.01)"),
    "noise_only": circle("lab = torch.randint(0, 2, (1000,))\nsgd = torch.optim.Adam(net.parameters(), lr=0.001)", epochs=5),
    "weak_signal": sine("y = 0.3 * y + torch.randn(400, 1)\no = torch.optim.Adam(f.parameters(), lr=1e-3)", steps=500),
    "actor_critic": HEAD + """
actor = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2)); critic = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam(list(actor.parameters()) + list(critic.parameters()), lr=3e-3)
for t in range(300):
    s = torch.randn(64, 4); d = torch.distributions.Categorical(logits=actor(s)); a = d.sample()
    r = ((s[:, 0] > 0).long() == a).float() + 0.3 * torch.randn(64)
    v = critic(s).squeeze(1); adv = (r - v).detach()
    loss = -(d.log_prob(a) * adv).mean() + 0.5 * F.mse_loss(v, r) - 0.01 * d.entropy().mean()
    opt.zero_grad(); loss.backward(); opt.step()
""",
    "wgan": HEAD + """
G = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 2)); C = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
g = torch.optim.RMSprop(G.parameters(), lr=1e-3); c = torch.optim.RMSprop(C.parameters(), lr=1e-3)
for t in range(200):
    for _ in range(2):
        loss = C(G(torch.randn(64, 3)).detach()).mean() - C(torch.randn(64, 2) + 2).mean()
        c.zero_grad(); loss.backward(); c.step()
        for p in C.parameters(): p.data.clamp_(-0.1, 0.1)
    loss = -C(G(torch.randn(64, 3))).mean()
    g.zero_grad(); loss.backward(); g.step()
""",
    "triplet": HEAD + """
c = 3 * torch.randn(5, 6); lab = torch.randint(0, 5, (500,)); X = c[lab] + torch.randn(500, 6)
net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 8)); opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for t in range(200):
    k = torch.randint(0, 5, (32,)); o = (k + torch.randint(1, 5, (32,))) % 5
    pick = lambda q: X[torch.stack([torch.nonzero(lab == j)[torch.randint(0, int((lab == j).sum()), (1,))].squeeze() for j in q])]
    loss = nn.TripletMarginLoss()(net(pick(k)), net(pick(k)), net(pick(o)))
    opt.zero_grad(); loss.backward(); opt.step()
""",
    "seq2seq": HEAD + """
src = torch.randint(0, 12, (600, 7)); tgt = src.flip(1)
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(12, 32); self.r = nn.GRU(32, 48, batch_first=True, bidirectional=True); self.o = nn.Linear(96, 12)
    def forward(self, s): return self.o(self.r(self.e(s))[0])
m = M(); opt = torch.optim.Adam(m.parameters(), lr=5e-3)
for e in range(10):
    for i in range(0, 600, 60):
        loss = nn.CrossEntropyLoss()(m(src[i:i+60]).transpose(1, 2), tgt[i:i+60])
        opt.zero_grad(); loss.backward(); opt.step()
""",
}  # fmt: skip
