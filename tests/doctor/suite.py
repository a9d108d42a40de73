"""The doctor's suite: small training scripts, each with the codes that name its fault, or none.

``FAULTY[name] = (codes, source)``: the first code is the true cause, the others say the same in other words.
``HEALTHY[name] = source``. Sources read their seed from the environment (``SUITE_SEED``).
"""

# ruff: noqa: E501

from __future__ import annotations

HEAD = """
import math, os
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
SEED = int(os.environ.get("SUITE_SEED", "0"))
torch.manual_seed(SEED)
"""

# -- data: each leaves X, y and Xt, yt ----------------------------------------------------------------

BLOBS = """
centers = 2.2 * torch.randn(4, 8)
labels = torch.arange(800) % 4
data = centers[labels] + torch.randn(800, 8)
order = torch.randperm(800); data, labels = data[order], labels[order]
X, y, Xt, yt = data[:600], labels[:600], data[600:], labels[600:]
"""
MOONS = """
n = 800
t = torch.rand(n) * math.pi
k = (torch.arange(n) % 2)
data = torch.stack([torch.where(k == 0, torch.cos(t), 1 - torch.cos(t)), torch.where(k == 0, torch.sin(t), 0.5 - torch.sin(t))], 1)
data = data + 0.1 * torch.randn(n, 2)
X, y, Xt, yt = data[:600], k[:600].float().unsqueeze(1), data[600:], k[600:].float().unsqueeze(1)
"""
CURVE = """
data = torch.randn(900, 6)
value = torch.sin(2 * data[:, 0]) + data[:, 1] * data[:, 2] + 0.5 * data[:, 3] + 0.1 * torch.randn(900)
X, y, Xt, yt = data[:700], value[:700].unsqueeze(1), data[700:], value[700:].unsqueeze(1)
"""
LINE = """
data = torch.randn(600, 5)
value = data @ torch.tensor([1.5, -2.0, 0.7, 0.0, 3.0]) + 0.3 * torch.randn(600)
X, y, Xt, yt = data[:450], value[:450].unsqueeze(1), data[450:], value[450:].unsqueeze(1)
"""
IMAGES = """
shapes = (torch.rand(4, 1, 12, 12) > 0.6).float()
labels = torch.randint(0, 4, (700,))
data = shapes[labels] + 0.7 * torch.randn(700, 1, 12, 12)
X, y, Xt, yt = data[:550], labels[:550], data[550:], labels[550:]
"""
SERIES = """
data = torch.randn(700, 12, 3)
labels = (data[:, :, 0].sum(1) > 0).long()
X, y, Xt, yt = data[:550], labels[:550], data[550:], labels[550:]
"""
HOUSES = """
size = 50 + 300 * torch.rand(700); rooms = torch.randint(1, 9, (700,)).float(); year = 1920 + 100 * torch.rand(700)
distance = 30000 * torch.rand(700)
price = 1000 * size + 9000 * rooms + 400 * (year - 1920) - 2 * distance + 15000 * torch.randn(700)
data = torch.stack([size, rooms, year, distance], 1)
X, y, Xt, yt = data[:550], price[:550].unsqueeze(1), data[550:], price[550:].unsqueeze(1)
"""

# -- loops --------------------------------------------------------------------------------------------

LOADER = """
loader = DataLoader(TensorDataset(X, y), batch_size=32, shuffle=True)
for epoch in range({epochs}):
    model.train()
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
"""
MANUAL = """
for epoch in range({epochs}):
    perm = torch.randperm(len(X))
    for i in range(0, len(X), 64):
        rows = perm[i:i + 64]
        prediction = net(X[rows])
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
FULL = """
for step in range({steps}):
    optimizer.zero_grad()
    out = model(X)
    loss = criterion(out, y)
    loss.backward()
    optimizer.step()
"""
ACC = """
model.eval()
with torch.no_grad():
    accuracy = (model(Xt).argmax(1) == yt).float().mean().item()
print("accuracy", accuracy)
"""
ACC1 = """
model.eval()
with torch.no_grad():
    accuracy = (({p}).round() == yt).float().mean().item()
print("accuracy", accuracy)
"""
MSE = """
model.eval()
with torch.no_grad():
    print("mse", F.mse_loss(model(Xt), yt).item())
"""


def S(*parts: str) -> str:
    """Return one script."""
    return HEAD + "".join(parts)


def mlp(i: int, o: int, *, h: int = 32, act: str = "nn.ReLU()", end: str = "") -> str:
    """Return the source of a Sequential."""
    tail = f", {end}" if end else ""
    return f"\nmodel = nn.Sequential(nn.Linear({i}, {h}), {act}, nn.Linear({h}, {h}), {act}, nn.Linear({h}, {o}){tail})\n"


def opt(kind: str = "Adam", lr: str = "0.005", extra: str = "") -> str:
    """Return the source of an optimiser."""
    return f"optimizer = torch.optim.{kind}(model.parameters(), lr={lr}{extra})\n"


CE = "criterion = nn.CrossEntropyLoss()\n"
L2 = "criterion = nn.MSELoss()\n"
BCE = "criterion = nn.BCELoss()\n"
BCEL = "criterion = nn.BCEWithLogitsLoss()\n"

NET = """
class Net(nn.Module):
    def __init__(self, i, o, h=48):
        super().__init__()
        self.fc1 = nn.Linear(i, h)
        self.fc2 = nn.Linear(h, h)
        self.out = nn.Linear(h, o)
    def forward(self, x):
        x = {act}(self.fc1(x))
        x = {act}(self.fc2(x))
        return {end}(self.out(x))
"""


def net(act: str = "F.relu", end: str = "") -> str:
    """Return the source of a custom module."""
    return NET.format(act=act, end=end)


CNN = """
class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 9, 4)
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return {end}
model = Cnn()
"""


def cnn(end: str = "self.fc(x.flatten(1))") -> str:
    """Return the source of a small convolutional net."""
    return CNN.format(end=end)


def loader(epochs: int = 12) -> str:
    """Return a DataLoader loop."""
    return LOADER.format(epochs=epochs)


def manual(loss: str, epochs: int = 25) -> str:
    """Return a hand-made minibatch loop."""
    return MANUAL.format(loss=loss, epochs=epochs)


def full(steps: int = 300) -> str:
    """Return a full-batch loop."""
    return FULL.format(steps=steps)


FAULTY: dict[str, tuple[tuple[str, ...], str]] = {
    "encoder_detached": (("optimizer-params",), S(IMAGES, cnn("self.fc(x.detach().flatten(1))"), "with torch.no_grad():\n    model.conv1.weight.mul_(0.05)\n", "criterion = F.cross_entropy\n", opt(), loader(5), ACC)),
    "cleared_before_step": (("missing-step",), S(BLOBS, mlp(8, 4), CE, opt("SGD", "0.1"), loader().replace("        optimizer.zero_grad()\n", "").replace("        optimizer.step()", "        optimizer.zero_grad()\n        optimizer.step()"), ACC)),
    "divided_by_zero_spread": (("nonfinite", "inputs-constant"), S(CURVE, "X[:, 4] = 1.0\n", net(), "class Scaled(Net):\n    def forward(self, x):\n        return super().forward((x - X.mean(0)) / X.std(0))\nnet = Scaled(6, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.005)\n", manual("F.mse_loss(prediction, y[rows])", 4))),
    "softmax_before_ce": (("output-activation", "loss-mismatch"), S(BLOBS, mlp(8, 4, end="nn.Softmax(dim=1)"), CE, opt(), loader(), ACC)),
    "softmax_before_ce_functional": (("output-activation", "loss-mismatch"), S(IMAGES, cnn("F.softmax(self.fc(x.flatten(1)), dim=1)"),
        "criterion = F.cross_entropy\n", opt("SGD", "0.05", ", momentum=0.9"), loader(), ACC)),
    "softmax_one_unit": (("output-activation",), S(MOONS, mlp(2, 1, end="nn.Softmax(dim=1)"), BCE, opt(), loader(), ACC1.format(p="model(Xt)"))),
    "softmax_one_unit_mse": (("output-activation",), S(MOONS, net(end="torch.softmax").replace("(self.out(x))", "(self.out(x), dim=-1)"),
        "net = Net(2, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.01)\n", manual("F.mse_loss(prediction, y[rows])"))),
    "double_sigmoid": (("output-activation", "loss-mismatch"), S(MOONS, mlp(2, 1, end="nn.Sigmoid()"), BCEL, opt(), loader(), ACC1.format(p="model(Xt)"))),
    "relu_output_ce": (("output-activation",), S(BLOBS, net(end="F.relu"), "net = Net(8, 4)\nwith torch.no_grad():\n    net.out.bias.fill_(-3.)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.02)\n",
        manual("F.cross_entropy(prediction, y[rows])"))),
    "sigmoid_regression": (("output-activation",), S(CURVE, mlp(6, 1, end="nn.Sigmoid()"), L2, opt(), loader(20), MSE)),
    "tanh_regression": (("output-activation", "target-scale"), S(LINE, net(end="torch.tanh"), "net = Net(5, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.005)\n",
        manual("((prediction - y[rows]) ** 2).mean()"))),
    "relu_regression": (("output-activation",), S(LINE, mlp(5, 1, end="nn.ReLU()"), L2, opt(), loader(), MSE)),
    "nll_on_logits": (("loss-mismatch", "output-activation"), S(BLOBS, mlp(8, 4), "criterion = nn.NLLLoss()\n", opt(), loader(), ACC)),
    "nll_on_softmax": (("output-activation", "loss-mismatch"), S(BLOBS, mlp(8, 4, end="nn.Softmax(dim=-1)"), "criterion = nn.NLLLoss()\n", opt("SGD", "0.01"), loader(4), ACC)),
    "ce_one_output": (("loss-mismatch", "output-activation"), S(MOONS, mlp(2, 1), "criterion = lambda p, t: F.cross_entropy(p, t)\n", opt(), loader(), ACC1.format(p="model(Xt).sigmoid()"))),
    "mse_on_class_numbers": (("loss-mismatch",), S(BLOBS, "y, yt = y.float().unsqueeze(1), yt.float().unsqueeze(1)\n", mlp(8, 1), L2, opt(), loader(10), ACC1.format(p="model(Xt)"))),
    "mse_sigmoid_onehot": (("loss-mismatch", "lr-too-low", "too-few-epochs"), S(BLOBS, "y1 = F.one_hot(y, 4).float()\n", net("torch.sigmoid", "torch.sigmoid"),
        "net = Net(8, 4)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n", manual("F.mse_loss(prediction, y1[rows])"))),
    "broadcast_target": (("shape-broadcast",), S(LINE, "y, yt = y.squeeze(1), yt.squeeze(1)\n", mlp(5, 1), L2, opt(), "import warnings; warnings.simplefilter('ignore')\n", loader(), "print(F.mse_loss(model(Xt).squeeze(1), yt).item())")),
    "broadcast_custom": (("shape-broadcast",), S(CURVE, "y = y.squeeze(1)\n", net(), "net = Net(6, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.005)\n",
        manual("((prediction - y[rows]) ** 2).mean()"))),
    "ascent_sign": (("gradient-ascent",), S(BLOBS, mlp(8, 4), "criterion = lambda p, t: -F.cross_entropy(p, t)\n", opt("SGD", "0.01"), loader(4), ACC)),
    "ascent_maximize": (("gradient-ascent",), S(LINE, mlp(5, 1), L2, opt("Adam", "0.001", ", maximize=True"), loader(4), MSE)),
    "no_zero_grad": (("missing-zero-grad",), S(BLOBS, mlp(8, 4), CE, opt("SGD", "0.05"), loader().replace("        optimizer.zero_grad()\n", ""), ACC)),
    "no_zero_grad_regression": (("missing-zero-grad",), S(CURVE, net(), "net = Net(6, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.01)\n",
        manual("F.mse_loss(prediction, y[rows])").replace("        optimizer.zero_grad()\n", ""))),
    "no_step": (("missing-step",), S(BLOBS, mlp(8, 4), CE, opt(), loader().replace("        optimizer.step()\n", ""), ACC)),
    "no_step_image": (("missing-step",), S(IMAGES, cnn(), CE, opt(), "scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)\n", "import warnings; warnings.simplefilter('ignore')\n",
        loader(4).replace("        optimizer.step()\n", "        scheduler.step()\n"), ACC)),
    "stale_optimizer": (("optimizer-params",), S(BLOBS, mlp(8, 4), opt(), mlp(8, 4), CE, loader(), ACC)),
    "frozen_all_but_bias": (("optimizer-params",), S(CURVE, mlp(6, 1), "for name, p in model.named_parameters():\n    if 'weight' in name: p.requires_grad = False\n", L2, opt(), loader(), MSE)),
    "only_last_layer": (("optimizer-params",), S(CURVE, mlp(6, 1, h=16), L2, "optimizer = torch.optim.Adam(model[0].parameters(), lr=1e-3)\n", loader(), MSE)),
    "layers_in_list": (("optimizer-params",), S(CURVE, """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = [nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 2)]
        self.out = nn.Linear(2, 1)
    def forward(self, x):
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.out(x)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
""", manual("F.mse_loss(prediction, y[rows])"))),
    "lr_huge_adam": (("lr-too-high",), S(BLOBS, mlp(8, 4), CE, opt("Adam", "3.0"), loader(), ACC)),
    "lr_huge_sgd": (("lr-too-high", "nonfinite"), S(CURVE, net(), "net = Net(6, 1)\noptimizer = torch.optim.SGD(net.parameters(), lr=2.0)\n", manual("F.mse_loss(prediction, y[rows])"))),
    "lr_huge_image": (("lr-too-high",), S(IMAGES, cnn(), CE, opt("SGD", "8.0", ", momentum=0.9"), loader(6), ACC)),
    "lr_tiny_adam": (("lr-too-low",), S(BLOBS, mlp(8, 4), CE, opt("Adam", "1e-6"), loader(), ACC)),
    "lr_tiny_sgd": (("lr-too-low",), S(LINE, mlp(5, 1), L2, opt("SGD", "1e-6"), loader(20), MSE)),
    "lr_tiny_image": (("lr-too-low",), S(IMAGES, cnn(), CE, opt("SGD", "1e-5"), loader(6), ACC)),
    "decay_to_nothing": (("schedule", "lr-too-low"), S(CURVE, mlp(6, 1), L2, opt("Adam", "0.003"), "scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)\n",
        loader(30).replace("        optimizer.step()\n", "        optimizer.step()\n        scheduler.step()\n"), MSE)),
    "step_schedule_per_batch": (("schedule", "lr-too-low"), S(BLOBS, mlp(8, 4), CE, opt("SGD", "0.05"), "scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.1)\n",
        loader(15).replace("        optimizer.step()\n", "        optimizer.step()\n        scheduler.step()\n"), ACC)),
    "few_epochs": (("too-few-epochs", "lr-too-low"), S(CURVE, mlp(6, 1), L2, opt("Adam", "0.001"), loader(2), MSE)),
    "few_epochs_image": (("too-few-epochs", "lr-too-low"), S(IMAGES, cnn(), CE, opt("Adam", "0.0005"), loader(1), ACC)),
    "zero_init": (("bad-init",), S(BLOBS, mlp(8, 4), "for m in model:\n    if isinstance(m, nn.Linear):\n        nn.init.zeros_(m.weight); nn.init.zeros_(m.bias)\n", CE, opt(), loader(), ACC)),
    "constant_init": (("bad-init",), S(CURVE, net(), "net = Net(6, 1)\nfor p in net.parameters():\n    nn.init.constant_(p, 0.1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.01)\n", manual("F.mse_loss(prediction, y[rows])"))),
    "huge_init": (("bad-init", "saturation"), S(BLOBS, mlp(8, 4, act="nn.Tanh()"), "for m in model:\n    if isinstance(m, nn.Linear):\n        nn.init.normal_(m.weight, std=30.0)\n", CE, opt("SGD", "0.01"), loader(), ACC)),
    "dead_relu_bias": (("dead-relu", "bad-init"), S(BLOBS, mlp(8, 4), "with torch.no_grad():\n    model[2].bias.fill_(-50.0)\n", CE, opt("SGD", "0.01"), loader(), ACC)),
    "deep_sigmoid": (("vanishing-gradient", "saturation", "depth-without-residual"), S(BLOBS, "\nlayers = [nn.Linear(8, 32), nn.Sigmoid()]\nfor _ in range(7):\n    layers += [nn.Linear(32, 32), nn.Sigmoid()]\nmodel = nn.Sequential(*layers, nn.Linear(32, 4))\n", CE, opt("SGD", "0.05"), loader(), ACC)),
    "deep_tanh_plain": (("vanishing-gradient", "depth-without-residual", "bad-init"), S(BLOBS, "\nlayers = [nn.Linear(8, 16), nn.ReLU()]\nfor _ in range(24):\n    layers += [nn.Linear(16, 16), nn.ReLU()]\nmodel = nn.Sequential(*layers, nn.Linear(16, 4))\n", CE, opt("SGD", "0.01"), loader(), ACC)),
    "unscaled_houses": (("input-scale", "target-scale"), S(HOUSES, mlp(4, 1), L2, opt("SGD", "0.001"), loader(10), MSE)),
    "unscaled_houses_adam": (("target-scale", "input-scale"), S(HOUSES, net(), "net = Net(4, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.001)\n", manual("F.mse_loss(prediction, y[rows])"))),
    "unscaled_inputs": (("input-scale",), S(CURVE, "X, Xt = X * 800 + 5000, Xt * 800 + 5000\n", mlp(6, 1), L2, opt("Adam", "0.005"), loader(15), MSE)),
    "pixels_255_sgd": (("input-scale",), S(IMAGES, "X, Xt = (X + 2) * 60, (Xt + 2) * 60\n", cnn(), CE, opt("SGD", "0.05", ", momentum=0.9"), loader(), ACC)),
    "linear_only": (("missing-nonlinearity", "capacity-too-small"), S(CURVE, "\nmodel = nn.Sequential(nn.Linear(6, 64), nn.Linear(64, 64), nn.Linear(64, 1))\n", L2, opt(), loader(20), MSE)),
    "linear_only_moons": (("missing-nonlinearity", "capacity-too-small"), S(MOONS, net("", "torch.sigmoid"), "net = Net(2, 1)\noptimizer = torch.optim.Adam(net.parameters(), lr=0.01)\n", manual("F.binary_cross_entropy(prediction, y[rows])"))),
    "one_class": (("labels-damaged",), S(BLOBS, "y = y * 0 + 1\n", mlp(8, 4), CE, opt(), loader(4), ACC)),
    "labels_shuffled": (("labels-damaged",), S(BLOBS, "y = y[torch.randperm(len(y))]\n", mlp(8, 4), CE, opt(), loader(6), ACC)),
    "targets_cast_int": (("labels-damaged",), S(MOONS, "y = (y * 0.5).int().float()\n", mlp(2, 1), BCEL, opt(), loader(6), ACC1.format(p="model(Xt).sigmoid()"))),
    "eval_mode_training": (("train-eval-mode", "batchnorm"), S(CURVE, "X, Xt = X * 3 + 4, Xt * 3 + 4\nmodel = nn.Sequential(nn.Linear(6, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 1))\nmodel.eval()\n", L2, opt("SGD", "0.0003"), loader(15).replace("    model.train()\n", ""), MSE)),
    "eval_in_train_mode": (("train-eval-mode",), S(BLOBS, "model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 4))\n", CE, opt(), loader(), ACC.replace("model.eval()\n", ""))),
    "no_train_after_eval": (("train-eval-mode",), S(IMAGES, """
model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(800, 4))
""", CE, opt("Adam", "0.002"), "model.train()\n", loader(8).replace("    model.train()\n", ""), "    model.eval()\n    with torch.no_grad():\n        print(epoch, (model(Xt).argmax(1) == yt).float().mean().item())\n")),
    "batchnorm_one_row": (("batchnorm", "batch-size"), S(IMAGES, "level = torch.randn(700); labels = (level > 0).long(); data = level.view(-1, 1, 1, 1) + 0.3 * torch.randn(700, 1, 12, 12)\nX, y, Xt, yt = data[:250], labels[:250], data[550:], labels[550:]\nmodel = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))\n", CE, opt("SGD", "0.01"), loader(4).replace("batch_size=32", "batch_size=1"), ACC)),
    "batchnorm_momentum": (("batchnorm",), S(IMAGES, "X, Xt = X + 6, Xt + 6\nmodel = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8, momentum=1e-5), nn.ReLU(), nn.Flatten(), nn.Linear(800, 4))\n", CE, opt("Adam", "0.002"), loader(6), ACC)),
    "dropout_strong": (("over-regularised",), S(CURVE, "model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.95), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.95), nn.Linear(32, 1))\n", L2, opt(), loader(20), MSE)),
    "decay_strong": (("over-regularised",), S(BLOBS, mlp(8, 4), CE, opt("Adam", "0.005", ", weight_decay=3.0"), loader(), ACC)),
    "decay_strong_sgd": (("over-regularised",), S(CURVE, net(), "net = Net(6, 1)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.05, weight_decay=1.0)\n", manual("F.mse_loss(prediction, y[rows])"))),
    "tiny_capacity": (("capacity-too-small",), S(CURVE, "model = nn.Sequential(nn.Linear(6, 1), nn.ReLU(), nn.Linear(1, 1))\n", L2, opt("Adam", "0.01"), loader(30), MSE)),
    "nan_log": (("nonfinite",), S(MOONS, mlp(2, 1, end="nn.ReLU()"), "def criterion(p, t):\n    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()\n", opt(), loader(3))),
    "nan_sqrt": (("nonfinite",), S(LINE, mlp(5, 1), "nn.init.zeros_(model[0].bias)\ndef criterion(p, t):\n    return ((p - t) ** 2).mean() + 0.01 * sum(torch.sqrt((w ** 2).sum()) for w in model.parameters())\n", opt(), loader(6), MSE)),
    "nan_inputs": (("nonfinite",), S(CURVE, "X[17, 2] = float('nan')\n", mlp(6, 1), L2, opt(), loader(6), MSE)),
    "sum_reduction": (("loss-reduction", "lr-too-high"), S(LINE, mlp(5, 1), "criterion = nn.MSELoss(reduction='sum')\n", opt("SGD", "0.05"), loader(), MSE)),
    "sum_custom": (("loss-reduction", "lr-too-high", "nonfinite"), S(CURVE, net(), "net = Net(6, 1)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.05)\n", manual("((prediction - y[rows]) ** 2).sum()"))),
    "sorted_rows": (("class-imbalance", "batch-size", "labels-damaged"), S(BLOBS, "order = y.argsort(); X, y = X[order], y[order]\n", mlp(8, 4), CE, opt("SGD", "0.5"), loader(5).replace(", shuffle=True", ""), ACC)),
    "rare_given_up": (("class-imbalance",), S(LINE, "s = X[:, 0] + 0.7 * X[:, 1] - 1.5; y = (s + 0.15 * torch.randn(len(X)) > 0).long()\nst = Xt[:, 0] + 0.7 * Xt[:, 1] - 1.5; yt = (st > 0).long()\n", mlp(5, 2), CE, opt("SGD", "0.01"), loader(10), ACC)),
    "exploding_rnn": (("exploding-gradient", "bad-init"), S(SERIES, """
class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(3, 32, nonlinearity='relu', batch_first=True)
        self.out = nn.Linear(32, 2)
        nn.init.eye_(self.rnn.weight_hh_l0); self.rnn.weight_hh_l0.data.mul_(2.2)
    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])
model = Rnn()
""", CE, opt("SGD", "0.01"), loader(6), ACC)),
    "same_batch": (("inputs-constant",), S(BLOBS, mlp(8, 4), CE, opt(), """
loader = DataLoader(TensorDataset(X, y), batch_size=16)
for step in range(200):
    xb, yb = next(iter(loader))
    optimizer.zero_grad(); loss = criterion(model(xb), yb); loss.backward(); optimizer.step()
""", ACC)),
    "xor_linear": (("missing-nonlinearity", "capacity-too-small"), S("X = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])\ny = torch.tensor([[0.], [1.], [1.], [0.]])\nmodel = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1), nn.Sigmoid())\n", BCE, opt("SGD", "0.5"), full(800))),
    "xor_lr": (("lr-too-low", "too-few-epochs"), S("X = torch.tensor([[0., 0.], [0., 1.], [1., 0.], [1., 1.]])\ny = torch.tensor([[0.], [1.], [1.], [0.]])\nmodel = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())\n", BCE, opt("SGD", "1e-5"), full(500))),
    "noise_drowns_images": (("augmentation",), S(IMAGES, cnn(), CE, opt("Adam", "0.003"), loader(8).replace("model(xb)", "model(xb + 12 * torch.randn_like(xb))"), ACC)),
    "augmented_dataset": (("augmentation",), S(BLOBS, """
class Jittered(torch.utils.data.Dataset):
    def __init__(self, x, y):
        self.x, self.y = x, y
    def __len__(self):
        return len(self.x)
    def __getitem__(self, i):
        return self.x[i][torch.randperm(8)] * (torch.randint(0, 2, (8,)) * 2 - 1), self.y[i]
""", mlp(8, 4), CE, opt(), loader(10).replace("TensorDataset(X, y)", "Jittered(X, y)"), ACC)),
    "test_rows_choose": (("test-used-for-selection",), S(BLOBS, mlp(8, 4), CE, opt(), "best = 0\n", loader(8), """
    model.eval()
    with torch.no_grad():
        test_acc = (model(Xt).argmax(1) == yt).float().mean().item()
    if test_acc > best:
        best, kept = test_acc, {k: v.clone() for k, v in model.state_dict().items()}
model.load_state_dict(kept)
print(best)
""")),
    "test_loss_stops": (("test-used-for-selection",), S(LINE, mlp(5, 1), L2, opt(), """
X_test, y_test = Xt, yt
def loss_on(x, y):
    with torch.no_grad():
        return criterion(model(x), y).item()
lowest, patience = 1e9, 0
for epoch in range(60):
    for rows in torch.randperm(len(X)).split(32):
        optimizer.zero_grad(); criterion(model(X[rows]), y[rows]).backward(); optimizer.step()
    now = loss_on(X_test, y_test)
    if now < lowest - 1e-3:
        lowest, patience = now, 0
    else:
        patience += 1
        if patience == 5:
            break
print(lowest)
""")),
    "leaking_split": (("split-leak",), S(BLOBS, "Xt = torch.cat([Xt[:100], X[:100]]); yt = torch.cat([yt[:100], y[:100]])\n", mlp(8, 4), CE, opt(), loader(), ACC)),
}  # fmt: skip
