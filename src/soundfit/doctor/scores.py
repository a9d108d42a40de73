"""The task's score of predictions: what kind of task it is, and accuracy or R² on it.

Knows tensors of predictions and targets; knows no model and no loss function beyond its name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

__all__ = [
    "Task",
    "class_facts",
    "even_rows",
    "other_units",
    "permutation_z",
    "rank_rows",
    "row_scores",
    "score",
    "task_of",
]

Tensor = torch.Tensor


@dataclass(frozen=True)
class Task:
    """What is to be predicted.

    ``kind``: ``classes`` (labels are integers from 0), ``binary`` (0 or 1 in one column), ``multilabel``,
    ``one-hot`` (classes, one column each), ``regression``, ``sequence`` (a class per position), ``shares``
    (of a whole, one column each), ``copy`` (the target is the input). ``labels`` are class numbers per row
    for the first, second and fourth. ``logits``: copies are told through a sigmoid that the loss has.
    """

    kind: str
    classes: int = 0
    columns: int = 1
    logits: bool = False

    @property
    def is_classification(self) -> bool:
        """Return whether the score is accuracy."""
        return self.kind in ("classes", "binary", "one-hot", "sequence", "multilabel")

    @property
    def has_one_class(self) -> bool:
        """Return whether each row belongs to one class."""
        return self.kind in ("classes", "binary", "one-hot")

    @property
    def is_numbers(self) -> bool:
        """Return whether outputs are compared with targets as amounts."""
        return self.kind in ("regression", "copy")

    def labels(self, targets: Tensor) -> Tensor:
        """Return class numbers: one per row, one per place of a sequence, 0 or 1 per column of several."""
        if self.kind == "one-hot":
            return targets.argmax(-1)
        if self.kind in ("binary", "classes"):
            return targets.reshape(targets.shape[0], -1)[:, 0].long()
        return targets.reshape(targets.shape[0], -1) if self.kind == "multilabel" else targets

    def asked(self, labels: Tensor) -> Tensor:
        """Return which labels count: at some places of a sequence nothing is asked (label below 0)."""
        return labels >= 0 if self.kind == "sequence" else torch.ones_like(labels, dtype=torch.bool)


def task_of(loss: str | None, inputs: tuple[Tensor, ...], targets: Tensor, outputs: int) -> Task:
    """Return the task, from the loss's name, the targets and the width of the model's output."""
    n = targets.shape[0]
    y = targets.reshape(n, -1) if n else targets
    same = any(x.shape == targets.shape and torch.equal(x, targets) for x in inputs) or any(
        x.reshape(n, -1).shape == y.shape and x.dtype == targets.dtype and torch.equal(x.reshape(n, -1), y)
        for x in inputs
    )
    logits = loss == "binary_cross_entropy_with_logits"
    if same and loss not in ("cross_entropy", "nll_loss"):
        return Task("copy", columns=y.shape[1], logits=logits)
    integer = not targets.is_floating_point()
    if loss == "kl_div" and not integer and y.shape[1] > 1 and _whole(y):
        return Task("shares" if _differ(y) else "one-hot", y.shape[1], y.shape[1])
    if loss in ("cross_entropy", "nll_loss"):
        if integer and y.shape[1] == 1:
            low = int(y.min()) if n else 0
            return Task("classes", max(outputs, int(y.max()) + 1 if low >= 0 else outputs))
        if integer and y.shape[1] > 1:
            return Task("sequence", outputs, y.shape[1])
        if y.shape[1] > 1 and _several(y.float()):
            return Task("multilabel", 2, y.shape[1])
        if y.shape[1] > 1:
            return Task("one-hot", y.shape[1], y.shape[1])
    finite = y.float()[torch.isfinite(y.float()).all(1)]
    zero_one = len(finite) > 0 and bool(((finite == 0) | (finite == 1)).all())
    if zero_one and y.shape[1] == 1:
        return Task("binary", 2)
    if zero_one and y.shape[1] > 1 and bool((finite.sum(1) == 1).all()):
        return Task("one-hot", y.shape[1], y.shape[1])
    if zero_one and loss in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        return Task("multilabel", 2, y.shape[1])
    if integer and loss is None and y.shape[1] == 1 and outputs > 1 and int(y.min()) >= 0:
        return Task("classes", max(outputs, int(y.max()) + 1))
    if y.shape[1] >= 8 and any(_restores(x.reshape(n, -1), y) for x in inputs if x.is_floating_point()):
        return Task("copy", columns=y.shape[1], logits=logits)
    return Task("regression", columns=y.shape[1])


def _whole(y: Tensor) -> bool:
    """Return whether every row's numbers are parts of 1."""
    return bool((y >= 0).all()) and bool(((y.float().sum(1) - 1).abs() < 1e-3).all())


def _differ(y: Tensor) -> bool:
    """Return whether rows have largest parts of their own: a smoothed label's is the same in every row."""
    top = (y.float().amax(1) * 1e4).round()
    return len(y) > 0 and int(top.unique(return_counts=True)[1].max()) < 0.5 * len(y)


def _several(y: Tensor) -> bool:
    """Return whether rows of zeros and ones often hold more than one 1: labels that may stand together."""
    return bool(((y == 0) | (y == 1)).all()) and float((y.sum(1) > 1).float().mean()) > 0.05


def _restores(x: Tensor, y: Tensor) -> bool:
    """Return whether targets are the inputs before something was done to them (noise, a mask)."""
    if x.shape != y.shape:
        return False
    a, b = torch.nan_to_num(x.double()).reshape(-1), torch.nan_to_num(y.double()).reshape(-1)
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / ((a**2).sum() * (b**2).sum() + 1e-30).sqrt()) > 0.3


def predicted_labels(task: Task, predictions: Tensor) -> Tensor:
    """Return class numbers from probabilities, logits or a single column."""
    p = predictions.float()
    if task.kind in ("classes", "one-hot") and p.dim() > 1 and p.shape[-1] > 1:
        return p.reshape(p.shape[0], -1).argmax(1)
    if task.kind == "sequence" and p.dim() > 2:
        return p.argmax(1)
    p = p.reshape(p.shape[0], -1)
    if task.kind == "multilabel" or task.kind == "binary" or p.shape[1] == 1:
        if task.kind == "binary" and p.shape[1] == 2:
            return p.argmax(1)
        bounded = bool((p >= 0).all()) and bool((p <= 1).all())
        cut = 0.5 if bounded else 0.0
        out = (p > cut).long()
        return out[:, 0] if task.kind != "multilabel" else out
    return p.argmax(1)


def score(task: Task, predictions: Tensor, targets: Tensor) -> float:
    """Return accuracy for classes, R² (mean over columns, at least -1) for numbers; -1 where not finite."""
    n = targets.shape[0]
    if n == 0 or predictions.shape[0] != n:
        return math.nan
    if task.is_classification:
        if not bool(torch.isfinite(predictions.float()).all()):
            return 0.0
        labels = task.labels(targets)
        found = predicted_labels(task, predictions)
        if found.shape != labels.shape:
            return math.nan
        return float((found == labels)[task.asked(labels)].float().mean())
    p, y = predictions.float().reshape(n, -1), targets.float().reshape(n, -1)
    p = _parts_of_one(p) if task.kind == "shares" else p.sigmoid() if task.logits else p
    if p.shape != y.shape:
        if p.shape[1] == 1:
            p = p.expand_as(y)
        else:
            return math.nan
    rows = torch.isfinite(y).all(1)
    p, y = p[rows], y[rows]
    if not bool(torch.isfinite(p).all()):
        return -1.0
    residual = ((p - y) ** 2).sum(0)
    total = ((y - y.mean(0)) ** 2).sum(0)
    varied = total > 1e-12 * (1 + y.mean(0) ** 2) * len(y)
    if not bool(varied.any()):
        return math.nan
    return float((1 - residual[varied] / total[varied]).clamp(min=-1.0).mean())


def _parts_of_one(p: Tensor) -> Tensor:
    """Return the shares that outputs mean: as they are where they sum to 1, else by softmax."""
    whole = bool(((p.sum(1) - 1).abs() < 1e-3).all()) and bool((p > -0.5).all())
    return p.clamp(min=0.0) if whole else p.softmax(1)


def balanced(task: Task, predictions: Tensor, targets: Tensor) -> float:
    """Return the mean over classes of the share found (balanced accuracy)."""
    labels, found = task.labels(targets), predicted_labels(task, predictions)
    if found.shape != labels.shape:
        return math.nan
    return float(torch.stack([(found[labels == c] == c).float().mean() for c in labels.unique()]).mean())


def given_up(task: Task, predictions: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the share found of the rarest class, and the balanced accuracy when all classes weigh the same.

    The second divides the model's class probabilities by the classes' shares before it takes the largest:
    what the same outputs would score were no class given up. NaN where outputs are not per class.
    """
    labels, found = task.labels(targets), predicted_labels(task, predictions)
    n = len(labels)
    shares = torch.bincount(labels.clamp(min=0), minlength=2).float() / n
    if found.shape != labels.shape or int((shares > 0).sum()) < 2:
        return math.nan, math.nan
    p = torch.nan_to_num(predictions.float().reshape(n, -1))
    if p.shape[1] == 1:
        bounded = bool((p >= 0).all()) and bool((p <= 1).all())
        one = (p if bounded else p.sigmoid()).clamp(1e-7, 1 - 1e-7)
        p = torch.cat([(1 - one).log(), one.log()], 1)
    elif _whole(p):
        p = p.clamp_min(1e-12).log()
    if p.shape[1] != len(shares):
        return math.nan, math.nan
    rare = int(torch.where(shares > 0, shares, torch.ones_like(shares)).argmin())
    even = (p - shares.clamp_min(1e-6).log()).argmax(1)
    recall = float((found[labels == rare] == rare).float().mean())
    parts = [(even[labels == c] == c).float().mean() for c in labels.unique()]
    return recall, float(torch.stack(parts).mean())


def evened(task: Task, predictions: Tensor, targets: Tensor) -> float:
    """Return the balanced accuracy of outputs as they are, or with all classes weighed alike if better.

    Where a loss weighs classes, this is what its outputs tell of them, whatever the weights are exactly.
    """
    by_class = balanced(task, predictions, targets), given_up(task, predictions, targets)[1]
    return float(np.fmax(*by_class))


def own_zero(task: Task, predictions: Tensor, targets: Tensor) -> float:
    """Return the share of rows whose own class has output 0: through a ReLU it learns nothing there."""
    p = predictions.float().reshape(len(targets), -1)
    if task.kind not in ("classes", "one-hot") or p.shape[1] < 2:
        return math.nan
    own = task.labels(targets).reshape(-1, 1)
    known = ((own >= 0) & (own < p.shape[1])).reshape(-1)
    return float((p[known].gather(1, own[known]) == 0).float().mean()) if bool(known.any()) else math.nan


def chance(task: Task, targets: Tensor) -> float:
    """Return the score of the best constant prediction."""
    if not task.is_classification:
        return 0.0
    labels = task.labels(targets)
    if task.kind == "multilabel":
        share = labels.float().mean(0)
        return float(torch.maximum(share, 1 - share).mean())
    labels = labels[task.asked(labels)].long()
    return float(torch.bincount(labels.clamp(min=0)).max() / labels.numel()) if labels.numel() else math.nan


def row_scores(task: Task, predictions: Tensor, targets: Tensor) -> Tensor | None:
    """Return each row's part of the score: 1 or 0 for a class, 1 - error²/variance (from -20) for numbers."""
    p, y, n = predictions.float(), targets, targets.shape[0]
    if task.is_classification:
        bad = not bool(torch.isfinite(p).all())
        found, labels = predicted_labels(task, torch.nan_to_num(p)), task.labels(y)
        if found.shape != labels.shape:
            return None
        asked = task.asked(labels).float().reshape(n, -1)
        hits = (found == labels).float().reshape(n, -1) * asked
        return hits.sum(1) / asked.sum(1).clamp(min=1) * (0.0 if bad else 1.0)
    q, t = p.reshape(n, -1), y.float().reshape(n, -1)
    q = _parts_of_one(q) if task.kind == "shares" else q
    if q.shape != t.shape:
        return None
    variance = ((t - t.mean(0)) ** 2).mean() + 1e-12
    parts = (1 - ((q - t) ** 2).mean(1) / variance).clamp(min=-20.0)
    return torch.nan_to_num(parts, nan=-20.0)


def even_rows(task: Task, parts: Tensor, targets: Tensor) -> Tensor:
    """Return each row's part of the balanced accuracy: its hit, weighted so that classes count the same."""
    labels = task.labels(targets).reshape(-1).long()
    counts = torch.bincount(labels.clamp(min=0)).double()
    present = int((counts > 0).sum())
    return parts.double() * len(labels) / (present * counts[labels.clamp(min=0)])


def rank_rows(numbers: Tensor, targets: Tensor) -> Tensor:
    """Return each row's part of the area under the ROC curve; numbers are to be small where the target is 1.

    The parts' mean is the area: a half where a number is not finite, or where all targets are alike.
    """
    low, one = numbers.double().reshape(-1), targets.reshape(-1) > 0.5
    if not bool(torch.isfinite(low).all()) or bool(one.all()) or not bool(one.any()):
        return torch.full((len(low),), 0.5, dtype=torch.float64)
    parts = torch.zeros_like(low)
    for mine, sign in ((one, -1.0), (~one, 1.0)):
        others, values = (sign * low[~mine]).sort().values, sign * low[mine]
        below = torch.searchsorted(others, values) + torch.searchsorted(others, values, right=True)
        parts[mine] = below.double() / (2 * len(others)) * len(low) / (2 * int(mine.sum()))
    return parts


def class_facts(task: Task, targets: Tensor) -> dict[str, Any]:
    """Return ``class_weights`` (inverse to the classes' shares) and ``uneven`` (one holds 70 % or more)."""
    if task.kind not in ("classes", "binary"):
        return {}
    labels = task.labels(targets).reshape(-1).clamp(min=0)
    counts = torch.bincount(labels, minlength=task.classes).float()
    return {
        "class_weights": counts.sum() / (counts.clamp(min=1) * max(task.classes, 1)),
        "uneven": float(counts.max() / counts.sum()) >= 0.7,
    }


def permutation_z(predictions: Tensor, targets: Tensor) -> float:
    """Return by how many standard deviations rows of two matrices go together more than shuffled rows would.

    Args:
        predictions: shape ``(n, c)``.
        targets: shape ``(n, c)``.

    The sum of products of centred columns has mean 0 under all n! orders of the rows, and the exact variance
    ``sum((P'P) * (T'T)) / (n - 1)``.
    """
    n = len(targets)
    p, t = predictions.reshape(n, -1).double(), targets.reshape(n, -1).double()
    p, t = p - p.mean(0), t - t.mean(0)
    variance = float(((p.T @ p) * (t.T @ t)).sum()) / max(n - 1, 1)
    return float((p * t).sum()) / variance**0.5 if variance > 1e-20 else 0.0


def other_units(task: Task, trained: Tensor, evaluated: list[Tensor]) -> bool:
    """Return whether an evaluation's numbers are in other units than those trained on (minutes for spreads).

    A script may turn outputs back before it compares them; the model's own say nothing of such numbers.
    """
    if task.kind != "regression" or not evaluated or trained.numel() == 0:
        return False
    y = torch.cat([x.float().reshape(-1) for x in evaluated])
    t = trained.float().reshape(-1)
    y, t = y[torch.isfinite(y)], t[torch.isfinite(t)]
    if len(y) < 8 or len(t) < 8:
        return False
    spread = float(t.std(correction=0)) + 1e-12
    ratio = float(y.std(correction=0)) / spread
    return (ratio > 4 or ratio < 0.25) and abs(float(y.mean() - t.mean())) > 0.5 * spread
