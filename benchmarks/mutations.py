"""Mutation operators: each takes the text of a training script and returns it with one mistake, or None.

None says that the operator finds nothing to change. Comments are lost: the text goes through ``ast``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

__all__ = ["OPERATORS"]

Operator = Callable[[str], "str | None"]

_RATE = re.compile(r"^(lr|learning_rate|base_lr|max_lr|rate)$", re.IGNORECASE)
_BATCH = re.compile(r"^(batch|batch_size|bs|batchsize|n_batch)$", re.IGNORECASE)
_EPOCHS = re.compile(r"^(n_?)?(epochs?|steps|iters|iterations|max_epochs|num_epochs)$", re.IGNORECASE)
_RECTIFIERS = {"ReLU", "GELU", "ELU", "SiLU", "LeakyReLU", "Tanh"}
_RECTIFYING = {"relu", "gelu", "elu", "silu", "leaky_relu", "tanh"}
_OPTIMISERS = {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam"}
_VALUES = {"MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "mse_loss", "l1_loss", "smooth_l1_loss"}
_CLASSES = {"CrossEntropyLoss", "cross_entropy"}
_YES_NO = {"BCEWithLogitsLoss", "binary_cross_entropy_with_logits"}


def _name(node: ast.AST) -> str:
    """Return the last part of a dotted name, "" for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


class _Change(ast.NodeTransformer):
    """A transformer that remembers whether it changed anything."""

    changed = 0

    def __call__(self, text: str) -> str | None:
        tree = ast.parse(text)
        self.prepare(tree)
        tree = ast.fix_missing_locations(self.visit(tree))
        return ast.unparse(tree) if self.changed else None

    def prepare(self, tree: ast.Module) -> None:
        """Look at the whole before changing it."""

    def done(self, node: ast.AST) -> ast.AST:
        self.changed += 1
        return node


class _Number(_Change):
    """Numbers given to a name: as a keyword, an assignment, a default or an argument of argparse."""

    def __init__(self, name: re.Pattern[str], change: Callable[[float], float]) -> None:
        self.name, self.change = name, change

    def _new(self, node: ast.expr | None) -> ast.expr | None:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            after = self.change(node.value)
            if after != node.value:
                self.changed += 1
                return ast.Constant(after)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        if node.arg and self.name.match(node.arg):
            node.value = self._new(node.value)  # type: ignore[assignment]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        for target in node.targets:
            if self.name.match(_name(target)):
                node.value = self._new(node.value)  # type: ignore[assignment]
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for i, one in enumerate(target.elts):
                    if self.name.match(_name(one)) and i < len(node.value.elts):
                        node.value.elts[i] = self._new(node.value.elts[i])  # type: ignore[assignment, call-overload]
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        late = node.args[len(node.args) - len(node.defaults) :]
        for i, one in enumerate(late):
            if self.name.match(one.arg):
                node.defaults[i] = self._new(node.defaults[i])  # type: ignore[call-overload]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        flag = node.args[0] if node.args else None
        name = str(flag.value).lstrip("-").replace("-", "_") if isinstance(flag, ast.Constant) else ""
        if _name(node.func) == "add_argument" and self.name.match(name):
            for one in node.keywords:
                if one.arg == "default":
                    one.value = self._new(one.value)  # type: ignore[assignment]
        return node


class _Loops(_Number):
    """Numbers of epochs, also those written into the loop."""

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        counted = _name(node.target).lower()
        of = node.iter
        if (
            counted.startswith(("ep", "step", "it"))
            and isinstance(of, ast.Call)
            and _name(of.func) == "range"
        ):
            of.args[-1] = self._new(of.args[-1])  # type: ignore[call-overload]
        return node


class _Without(_Change):
    """Statements that call a method, removed."""

    def __init__(self, method: str) -> None:
        self.method = method

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if isinstance(call, ast.Call) and _name(call.func) == self.method and not call.args:
            return self.done(ast.Pass())
        return node


class _Ascend(_Change):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        if (
            isinstance(call, ast.Call)
            and _name(call.func) == "backward"
            and isinstance(call.func, ast.Attribute)
        ):
            call.func.value = ast.UnaryOp(ast.USub(), call.func.value)
            return self.done(node)
        return node


class _Activations(_Change):
    """Hidden activations replaced: by nothing (``to`` None) or by a sigmoid."""

    def __init__(self, to: str | None, least: int = 1) -> None:
        self.to, self.least = to, least

    def __call__(self, text: str) -> str | None:
        self.changed = 0
        made = super().__call__(text)
        return made if self.changed >= self.least else None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = _name(node.func)
        if name in _RECTIFIERS:
            kind = "Identity" if self.to is None else "Sigmoid"
            return self.done(ast.parse(f"torch.nn.{kind}()", mode="eval").body)
        if name in _RECTIFYING and isinstance(node.func, ast.Attribute):
            inner = node.args[0] if node.args else node.func.value
            if self.to is None:
                return self.done(inner)
            return self.done(ast.Call(ast.parse("torch.sigmoid", mode="eval").body, [inner], []))
        return node


class _LossNames(_Change):
    """Finds by what names losses of certain kinds are called."""

    kinds: set[str]

    def prepare(self, tree: ast.Module) -> None:
        self.names = set(self.kinds)
        for node in ast.walk(tree):
            made = node.value if isinstance(node, ast.Assign) else None
            if isinstance(node, ast.Assign) and isinstance(made, ast.Call) and _name(made.func) in self.kinds:
                self.names |= {_name(t) for t in node.targets}

    def is_loss(self, node: ast.Call) -> bool:
        made_and_called = isinstance(node.func, ast.Call) and _name(node.func.func) in self.kinds
        return len(node.args) >= 2 and (made_and_called or _name(node.func) in self.names)


class _LossArgument(_LossNames):
    """What a loss is given, wrapped."""

    def __init__(self, kinds: set[str], place: int, wrap: str) -> None:
        self.kinds, self.place, self.wrap = kinds, place, wrap

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self.is_loss(node):
            wrapped = self.wrap.replace("@", f"({ast.unparse(node.args[self.place])})")
            node.args[self.place] = ast.parse(wrapped, mode="eval").body
            return self.done(node)
        return node


class _Summed(_LossNames):
    kinds = _VALUES | _CLASSES | _YES_NO

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _name(node.func) in self.kinds and not any(k.arg == "reduction" for k in node.keywords):
            node.keywords.append(ast.keyword("reduction", ast.Constant("sum")))
            return self.done(node)
        return node


class _Output(_LossNames):
    """An activation after the model's last layer, in scripts of one model and of losses of these kinds."""

    def __init__(self, kinds: set[str], module: str, function: str) -> None:
        self.kinds, self.module, self.function = kinds, module, function

    def prepare(self, tree: ast.Module) -> None:
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        others = (_VALUES | _CLASSES | _YES_NO) - self.kinds
        used = {_name(n.func) for n in calls}
        self.right = bool(used & self.kinds) and not used & others
        classes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "forward"]
        stacks = [n for n in calls if _name(n.func) == "Sequential"]
        self.forward = classes[0] if len(classes) == 1 else None
        self.stack = stacks[0] if len(stacks) == 1 and not classes else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        returns = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
        if self.right and node is self.forward and len(returns) == 1:
            value = returns[0].value
            if value is not None and not isinstance(value, ast.Tuple):
                wrapped = self.function.replace("@", f"({ast.unparse(value)})")
                returns[0].value = ast.parse(wrapped, mode="eval").body
                return self.done(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self.right and node is self.stack:
            node.args.append(ast.parse(self.module, mode="eval").body)
            return self.done(node)
        return node


class _Unscaled(_Change):
    """Scaling of data left out: a scaler, (x - mean) / sd, division by the largest grey value."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _name(node.func) == "StandardScaler":
            made = "__import__('sklearn.preprocessing').preprocessing.FunctionTransformer()"
            return self.done(ast.parse(made, mode="eval").body)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        if isinstance(node.right, ast.Constant) and node.right.value in (16, 255):
            return self.done(node.left)
        left = node.left
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Sub):
            words = ast.unparse(left.right).lower(), ast.unparse(node.right).lower()
            if re.search(r"mean|mu\b|m\b|avg", words[0]) and re.search(r"std|sd|sigma|s\b", words[1]):
                return self.done(left.left)
        return node


class _Mode(_Change):
    """``train()`` and ``eval()`` of scripts whose models behave differently in them."""

    def __init__(self, method: str) -> None:
        self.method = method

    def prepare(self, tree: ast.Module) -> None:
        text = ast.unparse(tree)
        self.right = bool(re.search(r"Dropout|BatchNorm|dropout", text))
        self.both = ".train()" in text and ".eval()" in text

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if self.right and self.both and _name(node.func) == self.method and not node.args:
            assert isinstance(node.func, ast.Attribute)
            node.func.attr = "eval" if self.method == "train" else "train"
            return self.done(node)
        return node


class _Dropout(_Change):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _name(node.func) in ("Dropout", "Dropout2d"):
            node.args, node.keywords = [ast.Constant(0.95)], []
            return self.done(node)
        return node


class _Decay(_Change):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _name(node.func) in _OPTIMISERS and node.args:
            strong = 20.0 if _name(node.func) == "AdamW" else 0.5
            node.keywords = [k for k in node.keywords if k.arg != "weight_decay"]
            node.keywords.append(ast.keyword("weight_decay", ast.Constant(strong)))
            return self.done(node)
        return node


class _AtOptimiser(_Change):
    """Statements before or after the optimiser is made of ``MODEL.parameters()``."""

    def __init__(self, before: str = "", after: str = "", after_step: str = "") -> None:
        self.before, self.after, self.after_step = before, after, after_step

    def _block(self, block: list[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for node in block:
            call = node.value if isinstance(node, ast.Assign) else None
            model = _model_of(call)
            if isinstance(node, ast.Assign) and model is not None:
                words = {"@model": model, "@opt": ast.unparse(node.targets[0])}
                made += _statements(self.before, words)
                made.append(node)
                made += _statements(self.after, words)
                self.opt = words["@opt"]
                self.changed += 1
            else:
                made.append(node)
                stepped = isinstance(node, ast.Expr) and ast.unparse(node) == f"{self.opt}.step()"
                if self.after_step and stepped:
                    made += _statements(self.after_step, {"@opt": self.opt})
                    self.steps += 1
        return made

    def __call__(self, text: str) -> str | None:
        self.changed, self.opt, self.steps = 0, "", 0
        made = super().__call__(text)
        return made if self.changed == 1 and (self.steps or not self.after_step) else None

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, name, self._block(block))
        return super().generic_visit(node)


def _model_of(call: ast.expr | None) -> str | None:
    """Return the model in ``Optimiser(MODEL.parameters(), …)``."""
    if isinstance(call, ast.Call) and _name(call.func) in _OPTIMISERS and call.args:
        given = call.args[0]
        if isinstance(given, ast.Call) and _name(given.func) == "parameters" and not given.args:
            assert isinstance(given.func, ast.Attribute)
            return ast.unparse(given.func.value)
    return None


def _statements(text: str, words: dict[str, str]) -> list[ast.stmt]:
    for word, value in words.items():
        text = text.replace(word, value)
    return ast.parse(text).body


class _Frozen(_Change):
    """The optimiser is given the last layer alone."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        model = _model_of(node)
        if model is not None:
            node.args[0] = ast.parse(f"list({model}.parameters())[-2:]", mode="eval").body
            return self.done(node)
        return node


class _Narrow(_Change):
    """Hidden layers of two units: numbers that are the outputs of one layer and the inputs of another."""

    def prepare(self, tree: ast.Module) -> None:
        made: list[set[int]] = [set(), set()]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) == "Linear":
                for i, one in enumerate(node.args[:2]):
                    if isinstance(one, ast.Constant) and isinstance(one.value, int):
                        made[i].add(one.value)
        self.hidden = {n for n in made[0] & made[1] if n >= 8}

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if _name(node.func) in ("Linear", "BatchNorm1d", "LayerNorm"):
            for one in node.args[:2]:
                if isinstance(one, ast.Constant) and one.value in self.hidden:
                    one.value = 2
                    self.changed += 1
        return node


class _Unsqueezed(_LossNames):
    """Predictions keep their last axis of one where a loss of values takes them."""

    kinds = _VALUES

    def prepare(self, tree: ast.Module) -> None:
        super().prepare(tree)
        self.right = any(isinstance(n, ast.Call) and self.is_loss(n) for n in ast.walk(tree))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        method = node.func if isinstance(node.func, ast.Attribute) and node.func.attr == "squeeze" else None
        if self.right and method is not None and _name(method.value) != "torch":
            return self.done(method.value)
        return node


class _Detached(_Change):
    """A hidden layer's output cut from the graph in ``forward``."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if node.name != "forward" or self.changed:
            return node
        for one in node.body[:-1]:
            layer = one.value if isinstance(one, ast.Assign) and len(one.targets) == 1 else None
            if isinstance(layer, ast.Call) and "self." in ast.unparse(layer):
                assert isinstance(one, ast.Assign)
                one.value = ast.Call(ast.Attribute(layer, "detach", ast.Load()), [], [])
                return self.done(node)
        return node


def _each(make: Callable[[], Callable[[str], str | None]]) -> Operator:
    """Return an operator that makes a fresh change for every script, so that nothing is remembered."""
    return lambda text: make()(text)


_ZERO = "for _p in @model.parameters():\n    torch.nn.init.zeros_(_p)"
_CONSTANT = "for _p in @model.parameters():\n    torch.nn.init.constant_(_p, 0.5)"
_LARGE = "for _p in @model.parameters():\n    torch.nn.init.normal_(_p, 0.0, 2.0)"
_STALE = "import copy\n@model = copy.deepcopy(@model)"
_DECAYS = "for _g in @opt.param_groups:\n    _g['lr'] *= 0.9"

# Each operator with the codes that a fair expert accepts as its cause.
OPERATORS: dict[str, tuple[Operator, tuple[str, ...]]] = {
    "rate-high": (
        _each(lambda: _Number(_RATE, lambda v: 100 * v)),
        ("lr-too-high", "exploding-gradient", "dead-relu"),
    ),
    "rate-low": (_each(lambda: _Number(_RATE, lambda v: v / 500)), ("lr-too-low", "too-few-epochs")),
    "no-zero-grad": (_each(lambda: _Without("zero_grad")), ("missing-zero-grad",)),
    "no-step": (_each(lambda: _Without("step")), ("missing-step",)),
    "ascend": (_each(_Ascend), ("gradient-ascent",)),
    "no-activation": (
        _each(lambda: _Activations(None)),
        ("missing-nonlinearity", "capacity-too-small", "depth-without-residual"),
    ),
    "sigmoids": (
        _each(lambda: _Activations("sigmoid", 3)),
        ("vanishing-gradient", "saturation", "bad-init", "lr-too-low"),
    ),
    "softmax-before": (
        _each(lambda: _LossArgument(_CLASSES, 0, "torch.softmax(@, 1)")),
        ("output-activation", "loss-mismatch"),
    ),
    "sigmoid-before": (
        _each(lambda: _LossArgument(_YES_NO, 0, "torch.sigmoid(@)")),
        ("output-activation", "loss-mismatch"),
    ),
    "softmax-output": (
        _each(lambda: _Output(_CLASSES, "torch.nn.Softmax(dim=1)", "torch.softmax(@, 1)")),
        ("output-activation", "loss-mismatch"),
    ),
    "relu-output": (
        _each(lambda: _Output(_VALUES | _CLASSES | _YES_NO, "torch.nn.ReLU()", "torch.relu(@)")),
        ("output-activation", "dead-relu"),
    ),
    "sigmoid-output": (
        _each(lambda: _Output(_VALUES, "torch.nn.Sigmoid()", "torch.sigmoid(@)")),
        ("output-activation", "saturation"),
    ),
    "summed": (_each(_Summed), ("loss-reduction", "lr-too-high", "exploding-gradient")),
    "unscaled": (_each(_Unscaled), ("input-scale", "target-scale")),
    "shuffled-labels": (
        _each(
            lambda: _LossArgument(
                _VALUES | _CLASSES | _YES_NO, 1, "(lambda _y: _y[torch.randperm(len(_y))])(@)"
            )
        ),
        ("labels-damaged",),
    ),
    "trains-in-eval": (_each(lambda: _Mode("train")), ("train-eval-mode",)),
    "evaluates-in-train": (_each(lambda: _Mode("eval")), ("train-eval-mode", "batchnorm")),
    "dropout": (_each(_Dropout), ("over-regularised",)),
    "decay": (_each(_Decay), ("over-regularised",)),
    "zero-init": (_each(lambda: _AtOptimiser(before=_ZERO)), ("bad-init",)),
    "constant-init": (_each(lambda: _AtOptimiser(before=_CONSTANT)), ("bad-init",)),
    "large-init": (
        _each(lambda: _AtOptimiser(before=_LARGE)),
        ("bad-init", "exploding-gradient", "saturation"),
    ),
    "frozen": (_each(_Frozen), ("optimizer-params",)),
    "stale": (_each(lambda: _AtOptimiser(after=_STALE)), ("optimizer-params",)),
    "fast-decay": (
        _each(lambda: _AtOptimiser(after_step=_DECAYS)),
        ("schedule", "lr-too-low", "too-few-epochs"),
    ),
    "huge-batch": (
        _each(lambda: _Number(_BATCH, lambda v: 64 * v)),
        ("batch-size", "too-few-epochs", "lr-too-low"),
    ),
    "few-epochs": (
        _each(lambda: _Loops(_EPOCHS, lambda v: max(1, int(v) // 25))),
        ("too-few-epochs", "lr-too-low"),
    ),
    "narrow": (_each(_Narrow), ("capacity-too-small",)),
    "broadcast": (_each(_Unsqueezed), ("shape-broadcast",)),
    "detached": (_each(_Detached), ("optimizer-params",)),
}
