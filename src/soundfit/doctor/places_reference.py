"""What is possible at the places of a sequence or a picture: a small convolutional net on held-out rows.

Knows rows and tasks; knows nothing of the script's model. What comes after a place is hidden from it where
the targets are the tokens that come next.
"""

from __future__ import annotations

import torch
from torch import nn

from soundfit.doctor.pace import clock
from soundfit.doctor.places import Places
from soundfit.doctor.reference import Reference, fit_reference, halves, standard, train_until
from soundfit.doctor.rows import Rows
from soundfit.doctor.scores import Task, chance, row_scores, score
from soundfit.doctor.shifts import shift_of

__all__ = ["any_reference", "fit_places"]

Tensor = torch.Tensor
_WIDTHS, _PATIENCE, _BATCH = {1: 64, 2: 24}, 8, 32  # of channels: a picture has many more places
_MOST_TOKENS = 5000
_MOST_NUMBERS = 3_000_000


class _PlacesNet(nn.Module):
    """Three dilated convolutions with residual paths over embedded places, and the mean of the whole row."""

    def __init__(self, parts: list[int], shape: tuple[int, ...], classes: int, *, causal: bool) -> None:
        """``parts``: channels of each input, below 0 the number of tokens."""
        super().__init__()
        conv = nn.Conv1d if len(shape) == 1 else nn.Conv2d
        self.width = width = _WIDTHS[len(shape)]
        self.causal = causal
        self.inputs = nn.ModuleList(nn.Embedding(-k, width) if k < 0 else conv(k, width, 1) for k in parts)
        self.position = nn.Parameter(0.1 * torch.randn(1, width, *shape))
        self.whole = nn.Linear(width, width)
        self.layers = nn.ModuleList(conv(width, width, 3, dilation=2**k) for k in range(3))
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in range(3))
        self.head = nn.Sequential(conv(width, width, 1), nn.ReLU(), conv(width, classes, 1))

    def forward(self, parts: list[Tensor]) -> Tensor:
        h = sum(
            layer(x).movedim(-1, 1) if isinstance(layer, nn.Embedding) else layer(x)
            for layer, x in zip(self.inputs, parts, strict=True)
        )
        dims = h.dim() - 2
        if not self.causal:
            mean = torch.relu(h).flatten(2).mean(2)
            h = h + self.whole(mean).reshape(len(h), self.width, *[1] * dims)
        h = h + self.position
        for k, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            wide = 2 * 2**k
            pad = (wide, 0) if self.causal else (wide // 2, wide // 2) * dims
            inner = h if self.causal else norm(h)  # a norm over all places tells of those to come
            h = h + torch.relu(layer(nn.functional.pad(inner, pad)))
        return self.head(h)


def any_reference(
    task: Task, rows: Rows, places: Places | None, *, other: Rows | None = None, seconds: float = 8.0
) -> Reference | None:
    """Return what is possible of any kind of task: of places by this net, of else by ``fit_reference``.

    Of maps of zeros and ones both are asked, and the better one tells.
    """
    if task.kind == "sequence":
        return fit_places(task, rows, places, seconds=seconds)
    found = fit_reference(task, rows, other=other, seconds=seconds)
    if task.kind != "multilabel" or _map_of(rows.targets).dim() != 3:
        return found
    by_places = fit_places(task, rows, None, seconds=seconds)
    return max((r for r in (found, by_places) if r is not None), key=lambda r: r.held_out, default=None)


def fit_places(task: Task, rows: Rows, places: Places | None, *, seconds: float = 6.0) -> Reference | None:
    """Return a small net's score on rows held out; None where inputs and targets have no places in common.

    Args:
        task: of kind ``sequence``, or ``multilabel`` on maps of zeros and ones.
        rows: inputs, and targets ``(n, places)`` or ``(n, height, width)``, below 0 where nothing is asked.
        places: how targets lie on the inputs' places.
        seconds: of processor time.
    """
    if task.kind == "multilabel":
        rows, task = Rows(rows.inputs, _map_of(rows.targets)), Task("sequence", 2, task.columns)
    n, first = len(rows), places.first if places is not None else 0
    made = _inputs(rows, tuple(rows.targets.shape[1:]), first)
    if n < 30 or not made or task.classes < 2 or int(rows.targets.max()) >= task.classes:
        return None
    ahead = any((shift_of(x, rows.targets) or 0) > 0 for x in rows.inputs)
    parts = [-int(x.max()) - 1 if not x.is_floating_point() else x.shape[1] for x in made]
    fit, held = halves(n)
    made = [
        standard(torch.nan_to_num(x.float()), fit, (0, *range(2, x.dim()))) if x.is_floating_point() else x
        for x in made
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = _PlacesNet(parts, tuple(rows.targets.shape[1:]), task.classes, causal=ahead)
        p = _outputs(net, made, rows.targets, fit, clock() + seconds)
    told = row_scores(task, p[held], rows.targets[held])
    error = float(told.std() / len(held) ** 0.5) if told is not None else 0.05
    value = score(task, p[held], rows.targets[held])
    constant = chance(task, rows.targets[held])
    return Reference(value, constant, max(error, 1e-3), by_model={"convolutions": value}, rows=n)


def _map_of(targets: Tensor) -> Tensor:
    """Return maps of zeros and ones as classes ``(n, height, width)``."""
    return (targets.squeeze(1) if targets.dim() == 4 and targets.shape[1] == 1 else targets).round().long()


def _inputs(rows: Rows, shape: tuple[int, ...], first: int) -> list[Tensor]:
    """Return the inputs that have the targets' places: tokens ``(n, *shape)``, ``(n, channels, *shape)``."""
    found: list[Tensor] = []
    for x in rows.inputs:
        if x.shape == rows.targets.shape and torch.equal(x, rows.targets):
            continue  # handed to a model that computes its loss itself
        if len(shape) == 1 and x.dim() in (2, 3) and shape[0] <= x.shape[1] - first:
            cut = x[:, first : first + shape[0]]
            if not x.is_floating_point():
                if cut.dim() == 2 and int(cut.min()) >= 0 and int(cut.max()) < _MOST_TOKENS:
                    found.append(cut)
                continue
            found.append(cut.unsqueeze(1) if cut.dim() == 2 else cut.transpose(1, 2))
        elif len(shape) == 2 and x.dim() == 4 and x.is_floating_point() and x.shape[2:] == shape:
            found.append(x)
    return found if sum(x.numel() for x in found) <= _MOST_NUMBERS else []


def _outputs(net: nn.Module, made: list[Tensor], targets: Tensor, fit: Tensor, deadline: float) -> Tensor:
    """Train with early stopping and return the outputs of all rows."""

    def loss(index: Tensor) -> Tensor:
        return nn.functional.cross_entropy(net([x[index] for x in made]), targets[index])

    train_until(net, loss, fit, deadline, batch=_BATCH, epochs=200, patience=_PATIENCE)
    with torch.no_grad():
        index = torch.arange(len(targets)).split(256)
        return torch.cat([net([x[i] for x in made]) for i in index])
