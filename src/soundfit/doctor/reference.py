"""What is possible: small, properly set models fitted on the rows that a script showed, judged on rows held out.

Knows rows and tasks; knows nothing of the script's model. Runs after the script, under its own generator.
"""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from soundfit.doctor.judge import HELD_SHARE
from soundfit.doctor.pace import clock
from soundfit.doctor.plain_step import plain_step
from soundfit.doctor.rows import Rows, exhaustive
from soundfit.doctor.scores import Task, balanced, chance, evened, permutation_z, predicted_labels, score

__all__ = [
    "Reference", "fit_reference", "halves", "linear_copy", "parted", "signal_z", "standard", "train_until",
]  # fmt: skip

Tensor = torch.Tensor
_STEPS, _PATIENCE = 1500, 200  # at least: in a small table's epochs there are few


@dataclass
class Reference:
    """Held-out score of the best small model, of each, of a constant, and the score's standard error."""

    held_out: float
    constant: float
    standard_error: float
    balanced: float = float("nan")
    evened: float = float("nan")
    by_model: dict[str, float] = field(default_factory=dict)
    other_rows: float = float("nan")
    agreement: float = float("nan")
    rows: int = 0
    surest: float = float("nan")


def halves(n: int, share: float = HELD_SHARE) -> tuple[Tensor, Tensor]:
    """Return row numbers to fit on and to judge on; fixed for a given n."""
    generator = torch.Generator().manual_seed(20_011)
    order = torch.randperm(n, generator=generator)
    cut = max(1, round(n * share)) if n > 1 else 0
    return order[cut:], order[:cut]


def parted(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return row numbers to fit on and to judge on: all for both where the rows are all there are, or a handful."""
    if len(rows) < 30 or exhaustive(rows):
        everything = torch.arange(len(rows))
        return everything, everything
    return halves(len(rows))


def numeric(inputs: tuple[Tensor, ...], limit: int = 4096) -> Tensor | None:
    """Return inputs as one float matrix; integer codes with few values one-hot; None where too wide."""
    parts = []
    for x in inputs:
        n = x.shape[0]
        if x.is_floating_point() or x.dtype == torch.bool:
            parts.append(torch.nan_to_num(x.reshape(n, -1).float(), posinf=0.0, neginf=0.0))
        elif x.is_complex():
            return None
        else:
            codes = x.reshape(n, -1)
            top = int(codes.max()) + 1 if codes.numel() else 0
            if int(codes.min()) < 0 or top > 5000:
                parts.append(codes.float())
                continue
            bags = torch.zeros(n, top).scatter_add_(1, codes.long(), torch.ones(codes.shape))
            parts.append(bags)
            if codes.shape[1] > 1 and codes.shape[1] * top <= limit:
                parts.append(nn.functional.one_hot(codes.long(), top).reshape(n, -1).float())
    out = torch.cat(parts, 1)
    if out.shape[1] > limit:  # wide images: average neighbours
        out = nn.functional.adaptive_avg_pool1d(out[:, None], limit // 4)[:, 0]
    return out


def standard(x: Tensor, fit: Tensor, dims: tuple[int, ...] = (0,)) -> Tensor:
    """Return ``x`` with mean 0 and spread 1 over ``dims`` of the rows to fit on, at most 10 spreads from 0."""
    mean, std = x[fit].mean(dims, keepdim=True), x[fit].std(dims, keepdim=True, correction=0)
    return ((x - mean) / torch.where(std > 1e-8 * (1 + mean.abs()), std, torch.ones_like(std))).clamp(-10, 10)


def _targets(task: Task, targets: Tensor) -> Tensor:
    if task.kind in ("classes", "binary", "one-hot"):
        return task.labels(targets)
    return targets.float().reshape(targets.shape[0], -1)


def fit_reference(
    task: Task, rows: Rows, *, other: Rows | None = None, seconds: float = 8.0
) -> Reference | None:
    """Return the best small model's held-out score, or None where no small model fits the kind of task.

    Args:
        task: what is predicted.
        rows: the training rows seen, without repetitions.
        other: rows of the script's own evaluation, scored by the winner as well.
        seconds: soft limit of time.
    """
    if task.kind in ("sequence", "copy"):
        return None
    x = numeric(rows.inputs)
    if x is None or x.shape[1] == 0:
        return None
    y = _targets(task, rows.targets)
    good = torch.isfinite(y.float().reshape(len(rows), -1)).all(1)
    if task.is_classification and task.kind != "multilabel":
        good &= (y >= 0).reshape(-1)
    rows, x, y = rows.take(good), x[good], y[good]
    if len(rows) > 8 and exhaustive(rows):
        return Reference(1.0, chance(task, rows.targets), 0.05, rows=len(rows), by_model={"table": 1.0})
    if len(rows) < 30:
        return _few_rows(task, rows, x, y)
    fit, held = halves(len(rows))
    x = standard(x, fit)
    deadline = clock() + seconds
    candidates = {"linear": _ridge(task, x, y, fit)}
    net = _mlp(task, x, y, fit, deadline)
    candidates["mlp"] = net
    image = rows.inputs[0]
    if len(rows.inputs) == 1 and image.dim() == 4 and image.is_floating_point() and clock() < deadline:
        candidates["cnn"] = _cnn(task, image, y, fit, deadline)
    if task.kind == "shares":  # a net's outputs sum to 1 but nearly
        candidates = {k: p / p.sum(1, keepdim=True).clamp(min=0.1) for k, p in candidates.items()}
    by_model = {name: score(task, p[held], rows.targets[held]) for name, p in candidates.items()}
    best = max(by_model, key=lambda k: by_model[k])
    value = by_model[best]
    constant = chance(task, rows.targets[held])
    se = _standard_error(task, candidates[best][held], rows.targets[held], value)
    out = Reference(value, constant, se, by_model=by_model, rows=len(rows))
    target = _design(task, y)[0][held]
    out.surest = max(permutation_z(p[held], target) for p in candidates.values())
    if task.has_one_class:
        out.balanced = balanced(task, candidates[best][held], rows.targets[held])
        out.evened = evened(task, candidates[best][held], rows.targets[held])
    if other is not None and len(other) >= 20:
        out.other_rows, out.agreement = _score_elsewhere(task, rows, other, pictures=value < 0.9)
    return out


def signal_z(task: Task, rows: Rows, *, limit: int = 2000) -> tuple[float, int]:
    """Return how surely labels go with inputs (in standard deviations) and the rows that were looked at.

    Linear and smooth (Gaussian kernel) ridge fits in five folds predict every row once; each is compared with
    shuffled labels, and the surer counts.
    """
    x = numeric(rows.inputs)
    if x is None or x.shape[1] == 0:
        return float("nan"), 0
    keep = torch.randperm(len(rows), generator=torch.Generator().manual_seed(20_011))[:limit]
    x, y = x[keep], _targets(task, rows.targets)[keep]
    n = len(keep)
    x = standard(x, torch.arange(n))
    target = _design(task, y)[0].double()
    target = target - target.mean(0)
    square = torch.cdist(x, x) ** 2
    fold = torch.arange(n) % 5
    found = []
    for kernel in (x @ x.T / x.shape[1], torch.exp(-2 * square / (square.median() + 1e-9))):
        gram = kernel.double()
        for penalty in (0.03, 1.0):
            p = torch.zeros_like(target)
            for k in range(5):
                fit, out = fold != k, fold == k
                size = int(fit.sum())
                inner = gram[fit][:, fit] + penalty * torch.eye(size, dtype=torch.float64)
                p[out] = gram[out][:, fit] @ torch.linalg.solve(inner, target[fit])
            found.append(permutation_z(p, target))
    return max(found), n


def _standard_error(task: Task, p: Tensor, y: Tensor, value: float) -> float:
    n = len(y)
    if task.is_classification:
        return float(max(value * (1 - value), 1.0 / n) ** 0.5 / n**0.5)
    flat_p, flat_y = p.float().reshape(n, -1), y.float().reshape(n, -1)
    loss = ((flat_p - flat_y) ** 2).mean(1)
    return float(loss.std() / n**0.5 / (flat_y.var(0).mean() + 1e-12))


def _few_rows(task: Task, rows: Rows, x: Tensor, y: Tensor) -> Reference | None:
    """Return the reference for a handful of rows: a truth table can be learned, more rows are left out one by one."""
    n = len(rows)
    if n < (3 if task.is_classification else 5) or task.kind == "multilabel":
        return None
    everything = torch.arange(n)
    x = standard(x, everything)
    constant = chance(task, rows.targets)
    if n <= 8 and task.is_classification:
        distinct = len(Rows((x,), torch.zeros(n)).unique())
        if distinct < n:
            return None
        return Reference(1.0, constant, 0.05, rows=n, by_model={"table": 1.0})
    target, mean, std = _design(task, y)
    square = torch.cdist(x, x) ** 2
    best, by_model = -1.0, {}
    for name, kernel in {
        "linear": x @ x.T, "smooth": torch.exp(-square / (square.median() + 1e-9)),
    }.items():  # fmt: skip
        gram = (kernel + 1.0).double()
        hat = torch.linalg.solve(gram + 0.1 * torch.eye(n, dtype=torch.float64), gram).T
        p = ((hat @ target.double()) - hat.diagonal()[:, None] * target.double()) / (
            1 - hat.diagonal()[:, None] + 1e-9
        )
        by_model[name] = score(task, p.float() * std + mean, rows.targets)
        best = max(best, by_model[name])
    return Reference(best, constant, 0.5 / n**0.5, by_model=by_model, rows=n)


def _score_elsewhere(task: Task, rows: Rows, other: Rows, *, pictures: bool) -> tuple[float, float]:
    """Fit on a part of ``other``: its gain over a constant on the rest, and how surely it fits ``rows`` (in z)."""
    x = numeric(other.inputs)
    z = numeric(rows.inputs)
    nothing = float("nan"), float("nan")
    if x is None or z is None or z.shape[1] != x.shape[1]:
        return nothing
    n = len(other)
    fit, held = halves(n, 0.4)
    both = standard(torch.cat([x, z]), fit)
    y = _targets(task, other.targets)
    if task.is_classification and int(y.min()) < 0:
        return nothing
    padded = torch.cat([y, y[:1].expand(len(z), *y.shape[1:])])
    fits = [_ridge(task, both, padded, fit), _mlp(task, both, padded, fit, clock() + 2)]
    image, there = rows.inputs[0], other.inputs[0]
    if pictures and len(rows.inputs) == 1 and image.dim() == 4 and image.is_floating_point():
        fits.append(_cnn(task, torch.cat([there, image]), padded, fit, clock() + 4))
    best = max(fits, key=lambda p: score(task, p[:n][held], other.targets[held]))
    gain = score(task, best[:n][held], other.targets[held]) - chance(task, other.targets[held])
    return gain, _agreement(task, best[n:], rows.targets)


def _agreement(task: Task, p: Tensor, targets: Tensor) -> float:
    """Return how many standard errors predictions and targets agree beyond chance."""
    n = len(targets)
    if task.kind in ("classes", "binary", "one-hot"):
        found, labels = predicted_labels(task, p), task.labels(targets)
        k = int(max(found.max(), labels.max())) + 1
        expected = float((torch.bincount(found, minlength=k) / n) @ (torch.bincount(labels, minlength=k) / n))
        hit = float((found == labels).float().mean())
        return (hit - expected) / max(expected * (1 - expected) / n, 1e-12) ** 0.5
    a, b = p.reshape(n, -1).double(), targets.reshape(n, -1).double()
    a, b = a - a.mean(0), b - b.mean(0)
    return float(((a * b).sum() / ((a**2).sum() * (b**2).sum() + 1e-30).sqrt()) * n**0.5)


def _columns(task: Task) -> int:
    return (
        1 if task.kind == "binary" else task.classes if task.kind in ("classes", "one-hot") else task.columns
    )


def _design(task: Task, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the target matrix for least squares with its mean and scale."""
    if task.kind in ("classes", "one-hot"):
        return nn.functional.one_hot(y.long(), _columns(task)).float(), torch.tensor(0.0), torch.tensor(1.0)
    y = y.float().reshape(len(y), -1)
    mean, std = y.mean(0), y.std(0).clamp(min=1e-12)
    if task.kind in ("binary", "multilabel"):
        return y, torch.tensor(0.0), torch.tensor(1.0)
    return (y - mean) / std, mean, std


def _ridge(task: Task, x: Tensor, y: Tensor, fit: Tensor) -> Tensor:
    """Return ridge predictions on all rows, fitted on ``fit`` (penalty a hundredth of the rows)."""
    target, mean, std = _design(task, y)
    a = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    a_fit, t = a[fit], target[fit].double()
    penalty = 0.01 * len(fit) + 1e-3
    if a.shape[1] <= len(fit):
        gram = a_fit.T @ a_fit + penalty * torch.eye(a.shape[1], dtype=torch.float64)
        w = torch.linalg.solve(gram, a_fit.T @ t)
    else:
        kernel = a_fit @ a_fit.T + penalty * torch.eye(len(fit), dtype=torch.float64)
        w = a_fit.T @ torch.linalg.solve(kernel, t)
    return (a @ w).float() * std + mean


def _mlp(task: Task, x: Tensor, y: Tensor, fit: Tensor, deadline: float) -> Tensor:
    """Return the predictions of a two-layer net with early stopping."""
    width = 64
    out = _columns(task)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = nn.Sequential(
            nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out)
        )
    return _train(task, net, x, y, fit, deadline, steps=_STEPS, patience=_PATIENCE)


def _cnn(task: Task, image: Tensor, y: Tensor, fit: Tensor, deadline: float) -> Tensor:
    """Return the predictions of a small convolutional net."""
    mean, std = image[fit].mean(), image[fit].std() + 1e-8
    image = (image.float() - mean) / std
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = nn.Sequential(
            nn.Conv2d(image.shape[1], 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(512, _columns(task)),
        )  # fmt: skip
    return _train(task, net, image, y, fit, deadline)


def _train(
    task: Task,
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    fit: Tensor,
    deadline: float,
    *,
    steps: int = 0,
    patience: int = 0,
) -> Tensor:
    """Train for 80 epochs, or as many as ``steps`` take; stop after 10, or ``patience`` steps, without gain."""
    target, mean, std = _design(task, y)

    def loss(index: Tensor) -> Tensor:
        p = net(x[index])
        if task.kind in ("classes", "one-hot"):
            return nn.functional.cross_entropy(p, y[index].long())
        if task.kind in ("binary", "multilabel"):
            return nn.functional.binary_cross_entropy_with_logits(p, target[index])
        return nn.functional.mse_loss(p, target[index])

    per_epoch = max(1, -(-(len(fit) - len(fit) // 6) // 64))
    epochs, patience = max(80, steps // per_epoch), max(10, patience // per_epoch)
    generator = torch.Generator().manual_seed(11)
    train_until(net, loss, fit, deadline, batch=64, epochs=epochs, patience=patience, generator=generator)
    with torch.no_grad():
        p = net(x)
    return p * std + mean


def train_until(
    net: nn.Module,
    loss: Callable[[Tensor], Tensor],
    fit: Tensor,
    deadline: float,
    *,
    batch: int,
    epochs: int,
    patience: int,
    generator: torch.Generator | None = None,
) -> None:
    """Train a small net with AdamW; leave it with the weights that told a sixth of the rows best.

    Args:
        net: is changed.
        loss: of the rows with these numbers.
        fit: row numbers; the first sixth is watched.
        deadline: in processor seconds.
        batch: rows a step.
        epochs: at most.
        patience: epochs without gain after which it ends.
        generator: of the rows' order, torch's own where None.
    """
    inner, watch = fit[len(fit) // 6 :], fit[: len(fit) // 6]
    params = list(net.parameters())
    opt = torch.optim.AdamW(params, lr=3e-3, weight_decay=1e-2, fused=True)
    best, kept, since = float("inf"), None, 0
    for _ in range(epochs):
        for index in inner[torch.randperm(len(inner), generator=generator)].split(batch):
            for parameter in params:
                parameter.grad = None
            loss(index).backward()
            plain_step(opt)
            if clock() > deadline:
                break
        with torch.no_grad():
            now = float(loss(watch))
        if now < best - 1e-4:
            best, kept, since = now, {k: v.clone() for k, v in net.state_dict().items()}, 0
        else:
            since += 1
        if since >= patience or clock() > deadline:
            break
    if kept is not None:
        net.load_state_dict(kept)


def linear_copy(x: Tensor, components: int) -> float:
    """Return R² of the best linear copy through that few numbers (PCA), on the third of the rows that did not fit it.

    Args:
        x: shape ``(n, ...)``; at most 1500 rows are used.
        components: how many numbers a row is squeezed into.
    """
    flat = torch.nan_to_num(x.reshape(len(x), -1).float())[:1500]
    n = len(flat) * 2 // 3
    mean = flat[:n].mean(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, v = torch.pca_lowrank(flat[:n] - mean, q=min(components, n, flat.shape[1]), center=False)
    rest = flat[n:] - mean
    error = (rest - rest @ v @ v.T).square().sum()
    return float(1 - error / (rest.square().sum() + 1e-12))
