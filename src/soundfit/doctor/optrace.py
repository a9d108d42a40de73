"""Every torch operation of a sampled step: activations' statistics, targets that meet a prediction, risky operations.

A ``TorchFunctionMode`` that calls each function unchanged and then looks. It knows no rule and draws no
random number; the watch decides when it is on.
"""

# ruff: noqa: E501

from __future__ import annotations

import time
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from soundfit.doctor.filled import FILLS, JUDGES, Filled
from soundfit.doctor.lines import user_place
from soundfit.doctor.lists import LAYS_OUT, LOSSES, Lists
from soundfit.doctor.views import moved_axis

__all__ = ["OpTrace"]

_ACTIVATIONS = {
    "relu": "relu", "relu_": "relu", "relu6": "relu", "leaky_relu": "leaky_relu", "elu": "elu", "selu": "selu",
    "gelu": "gelu", "silu": "silu", "mish": "mish", "softplus": "softplus", "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid", "tanh": "tanh", "tanh_": "tanh", "hardtanh": "hardtanh", "prelu": "prelu",
    "softmax": "softmax", "log_softmax": "log_softmax", "sin": "sin", "celu": "celu", "glu": "glu",
    "scaled_dot_product_attention": "attention", "lstm": "recurrent", "gru": "recurrent",
    "rnn_tanh": "recurrent", "rnn_relu": "recurrent", "max_pool2d": "pool", "max_pool1d": "pool",
    "pow": "power", "square": "power", "exp": "exp", "clamp": "clamp", "maximum": "maximum",
    "lstm_cell": "recurrent", "gru_cell": "recurrent", "rnn_tanh_cell": "recurrent", "abs": "abs",
}  # fmt: skip
_MEETING = {
    "sub", "__sub__", "__rsub__", "rsub", "mul", "__mul__", "__rmul__", "eq", "__eq__", "ne", "__ne__",
    "gather", "__getitem__", "where", "add", "__add__",
}  # fmt: skip
_RISKY = {"log", "log2", "log10", "sqrt", "div", "__truediv__", "exp", "norm", "rsqrt", "acos"}
_LINEAR = {
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "matmul",
    "__matmul__",
    "mm",
    "bmm",
    "addmm",
    "conv_transpose2d",
}
_QUIET = {"__get__", "__set__", "size", "dim", "item", "numel", "backward", "stride"}


class OpTrace(TorchFunctionMode):
    """On while a sampled step lasts. ``watch`` is the owner that receives what was seen."""

    def __init__(self, watch: Any) -> None:
        super().__init__()
        self.watch = watch
        self.on = False
        self.eval_outputs: list[torch.Tensor] = []
        self.derived: set[int] = set()
        self.sequence: list[str] = []
        self.similarity: Any = None
        self.lists, self.filled = Lists(), Filled()

    def start(self) -> None:
        """Put the mode on the stack."""
        if not self.on:
            self.on = True
            self.sequence, self.similarity = [], None
            self.lists, self.filled = Lists(), Filled()
            self.__enter__()

    def stop(self) -> None:
        """Take the mode off the stack; if the user's code put another above it, wait for the next call."""
        stack = _get_current_function_mode_stack()
        if self.on and stack and stack[-1] is self:
            self.__exit__(None, None, None)
            self.on = False
        self.eval_outputs, self.lists, self.filled = [], Lists(), Filled()
        self.derived = set()

    def finish(self, facts: dict[str, Any]) -> None:
        """Stop, and add the first sequence of operations to ``facts``."""
        self.stop()
        if self.sequence:
            facts.setdefault("sequence", list(self.sequence))

    def forget(self) -> None:
        """Forget what came from an evaluation: it may be the targets of what follows (a teacher's outputs)."""
        self.eval_outputs, self.derived = [], set()

    def seed(self, output: torch.Tensor) -> None:
        """Mark an evaluation output, so that what meets it can be recognised as the target."""
        self.eval_outputs.append(output)
        self.derived.add(id(output))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function as it is, then look at what it made."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in _QUIET or not self.on:
            return out
        self.watch.grad = torch.is_grad_enabled()
        started = time.perf_counter()
        with torch.no_grad(), torch._C.DisableTorchFunction():
            try:
                self._look(name, args, kwargs, out)
            except Exception as error:
                self.watch.stumble(error)
        self.watch.spent_seconds += time.perf_counter() - started
        return out

    def _look(self, name: str, args: Any, kwargs: Any, out: Any) -> None:
        watch = self.watch
        if self.derived and args:
            self._derive(name, args, out)
        if name in _ACTIVATIONS:
            if watch.depth or self.sequence:  # layers may be called one by one, with F.relu between
                self.sequence.append(_ACTIVATIONS[name])
            watch.saw_activation(_ACTIVATIONS[name], out)
        elif name in _LINEAR:
            if watch.depth:
                self.sequence.append("linear")
            watch.saw_linear(out)
        elif name in ("view", "reshape"):
            made = watch.grad and (watch.depth or args[0].requires_grad)  # by a model, inside it or after it
            if made and args[0].dim() > 2 and moved_axis(args[0].shape, out.shape):
                shapes = {"before": list(args[0].shape[1:]), "after": list(out.shape[1:])}
                watch.custom.setdefault("cut_across", {**shapes, "place": user_place(watch.step + 1)})
        elif name in _RISKY:
            watch.saw_risky(name, user_place(watch.step + 1))
        elif name in ("dropout", "feature_dropout", "dropout2d", "alpha_dropout"):
            p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
            training = kwargs.get("training", args[2] if len(args) > 2 else True)
            watch.saw_dropout(float(p), bool(training), user_place(watch.step + 1))
        elif name == "cosine_similarity" and len(args) > 1 and watch.grad:
            left, right = args[0], args[1]
            if isinstance(right, torch.Tensor) and left.requires_grad != right.requires_grad:
                self.similarity = out.grad_fn  # of what a model made and what was given
        if name in LOSSES or name in JUDGES:
            self._compare(name, args, kwargs)
        elif args:
            note_list = self.lists.lay_out if name in LAYS_OUT else self.lists.follow
            note_list(args[0], out)
            if name in FILLS:
                self.filled.fill(args, out)
            else:
                self.filled.follow(name, args, out)
        if name in _MEETING and watch.depth == 0 and len(args) > 1:
            self._meet(name, args)

    def _compare(self, name: str, args: Any, kwargs: Any) -> None:
        """Tell the watch of a loss whose lists differ in their order, or that takes a filling for the truth."""
        given = {**dict(zip(("input", "target"), args, strict=False)), **kwargs}
        prediction, target = given.get("input"), given.get("target")
        axes = self.lists.turned(prediction, target) if name in LOSSES else None
        cut = self.lists.cut(prediction, target) if name in LOSSES else None
        gaps = self.filled.learned(name, prediction, target, kwargs)
        if axes is None and cut is None and gaps is None:
            return
        found, place = self.watch.custom, user_place(self.watch.step + 1)
        if cut is not None:
            found.setdefault("orders", {"shape": list(cut), "place": place})
        if axes is not None:
            found.setdefault("orders", {"first": axes[0], "second": axes[1], "place": place})
        if gaps is not None:
            found.setdefault("filled", {"share": float(gaps.float().mean()), "place": place})

    def _derive(self, name: str, args: Any, out: Any) -> None:
        # target.view_as(prediction) is still the target
        for x in args[:1] if name.endswith("_as") or name in ("to", "type") else args:
            if isinstance(x, torch.Tensor) and id(x) in self.derived:
                made = out if isinstance(out, tuple) else (out,)
                for y in made:
                    if isinstance(y, torch.Tensor) and y.dim() > 0:
                        self.eval_outputs.append(y)
                        self.derived.add(id(y))
                return

    def _meet(self, name: str, args: Any) -> None:
        """Tell the watch of a tensor without a history that meets one that came from a model."""
        left, right = args[0], args[1]
        if name == "__getitem__":
            if not isinstance(right, tuple) or len(right) != 2:
                return  # an order or a choice of rows is no target; a class of each row is
            right = right[1]
        if name == "gather" and len(args) > 2:
            right = args[2]
        if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)):
            return
        for prediction, target in ((left, right), (right, left)):
            from_model = prediction.requires_grad or id(prediction) in self.derived
            plain = not target.requires_grad and id(target) not in self.derived
            if from_model and plain and target.dim() > 0 and target.numel() > 1 and prediction.dim() > 0:
                same_rows = target.shape[0] == prediction.shape[0]
                if same_rows:
                    self.watch.met(name, prediction, target, user_place(self.watch.step + 1))
                return
