"""Pictures in a study: what is tried on them, what it costs, and what other kinds of model read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundfit.data.pictures import Pictures
from soundfit.models.conv import build_picture_net, multiply_adds, stem_stride
from soundfit.records import Config, Plan
from soundfit.study.halving import Halving
from soundfit.study.tensors import Family, TensorViews, rows_within, tensor_views
from soundfit.study.views import median_rows

__all__ = ["channel_statistics", "picture_configurations", "picture_cost", "picture_views", "thumbnails"]

Shape = tuple[int, int, int]

# Rows from which a fold's channel statistics are taken: their error is far below a grey level.
_MOST_STATISTICS = 10_000
_THUMBNAIL = 8
# What a step costs beside its multiply-adds, in multiply-adds.
_OVERHEAD = 3e6
# An MLP on more pixels costs as much as a CNN and knows nothing of places.
_MOST_PIXELS_FOR_MLP = 4_096
# Multiply-adds that ``train`` spends on members where nobody names a budget. About 15 G a second and core.
ALLOWANCE = {"cpu": 3.0e12, "cuda": 3.0e15}
# Folds of few pictures rarely prove anything before the end: half of the nets stay at 0.3 of the epochs,
# half of those at 0.5.
_RACE = Halving(rungs=(0.3, 0.5), keep=0.5)


def picture_views(
    pictures: Pictures, plan: Plan, *, device: str = "cpu", allowance: float | None = None
) -> TensorViews:
    """Return the views of a plan's non-test pictures; ``allowance`` stands in for :data:`ALLOWANCE`."""
    given = {} if allowance is None else {"allowance": allowance}
    shape: Shape = pictures.pixels.shape[1:]
    n_outputs = len(pictures.table.classes) if pictures.table.task == "classification" else 1
    n_train = median_rows(plan.folds)
    family = Family(
        build=partial(build_picture_net, shape=shape, n_outputs=n_outputs),
        configurations=lambda model: picture_configurations(
            n_train, shape, model=model, folds=len(plan.folds), device=device, **given
        ),
        cost=lambda config, rows: picture_cost(config, shape, rows),
        statistics=lambda rows: channel_statistics(pictures.pixels, rows),
        features=lambda rows: thumbnails(pictures.pixels, rows),
        halving=_RACE if device == "cpu" else None,
    )
    return tensor_views(pictures.table, pictures.pixels, plan, family)


def channel_statistics(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Mapping[str, Any]:
    """Return mean and standard deviation of each channel over these rows, in bytes."""
    seen = pixels[rows_within(rows, _MOST_STATISTICS)].astype(np.float64)
    mean, deviation = seen.mean(axis=(0, 1, 2)), seen.std(axis=(0, 1, 2))
    return {
        "pixel_mean": tuple(float(v) for v in mean),
        "pixel_sd": tuple(float(v) if v > 1.0 else 1.0 for v in deviation),
    }


def thumbnails(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return grey pictures of 8 × 8 as columns (n, 64), about -1 to 1."""
    height, width = pixels.shape[1:3]
    down = np.linspace(0, height, _THUMBNAIL + 1).round().astype(int)[:-1]
    across = np.linspace(0, width, _THUMBNAIL + 1).round().astype(int)[:-1]
    made = np.empty((len(rows), min(_THUMBNAIL, height), min(_THUMBNAIL, width)), dtype=np.float32)
    for start in range(0, len(rows), 4096):
        grey = pixels[rows[start : start + 4096]].mean(axis=3, dtype=np.float32)
        sums = np.add.reduceat(np.add.reduceat(grey, np.unique(down), axis=1), np.unique(across), axis=2)
        made[start : start + 4096] = sums
    area = height * width / (made.shape[1] * made.shape[2])
    return made.reshape(len(rows), -1) / (127.5 * area) - 1.0


def picture_cost(config: Config, shape: Shape, n_train: int) -> float:
    """Return the multiply-adds of a member's training: three passes a step, and a step's overhead."""
    each = multiply_adds(config.model, config.width, config.depth, shape)
    batch = max(1, min(config.batch_size, n_train))
    steps = config.epochs * max(1, n_train // batch)
    return steps * (3.0 * each * batch + _OVERHEAD)


def picture_epochs(n_train: int) -> tuple[int, int, int]:
    """Return batch size, epochs and width of convolutional nets: some 400 steps, then what rows allow."""
    if n_train < 2_000:
        return 32, int(np.clip(400 * 32 // max(n_train, 32), 16, 60)), 16
    return 64, int(np.clip(600_000 // n_train, 4, 14)), 16


def cnn_depth(n_train: int, shape: Shape) -> int:
    """Return the stages of a CNN: four, of which three halve, where pictures and rows are enough for it."""
    side = min(shape[:2]) // stem_stride(*shape[:2])
    return 4 if side >= 24 and n_train >= 2_000 else 3


def picture_configurations(
    n_train: int,
    shape: Shape,
    *,
    model: str = "auto",
    folds: int = 5,
    device: str = "cpu",
    allowance: float | None = None,
) -> tuple[Config, ...]:
    """Return what ``train`` tries: softmax and MLP on pixels, CNNs and residual nets over augmentation.

    Candidates stand in the order of what they promise; those whose folds would take the whole beyond
    :data:`ALLOWANCE` are left out, so that the grid follows from the data alone and not from a clock.
    """
    wanted = [c for c in _candidates(n_train, shape, device) if model in ("auto", c.model)]
    if model == "auto" and int(np.prod(shape)) > _MOST_PIXELS_FOR_MLP:
        wanted = [c for c in wanted if c.model != "mlp"]
    most = ALLOWANCE[device] if allowance is None else allowance
    chosen: list[Config] = []
    spent = 0.0
    for config in wanted:
        price = folds * picture_cost(config, shape, n_train)
        # One of each family is always there.
        first = config.model not in {c.model for c in chosen} and config.model != "resnet"
        if first or (model != "auto" and not chosen) or spent + price <= most:
            chosen.append(config)
            spent += price
    return tuple(chosen)


def _candidates(n_train: int, shape: Shape, device: str) -> Sequence[Config]:
    batch, epochs, width = picture_epochs(n_train)
    if device == "cuda":
        epochs, width = 2 * epochs, 2 * width
    base = Config(batch_size=batch, epochs=epochs, patience=0, options={"beta2": 0.98})
    many = n_train >= 10_000
    flat = base.with_(
        epochs=20 if many else 2 * epochs, batch_size=128 if many else batch, learning_rate=0.03
    )
    moved, mirrored = {"shift": 0.1}, {"shift": 0.1, "flip": 0.5}
    # A step moves a logit by up to the rate times the number of pixels.
    rate = min(0.005, 1.5 / int(np.prod(shape)))
    linear = flat.with_(model="linear", width=0, depth=0, warmup=0.0, learning_rate=rate, weight_decay=0.02)
    mlp = flat.with_(model="mlp", width=512 if many else 256, depth=2, dropout=0.3, weight_decay=0.1)
    cnn = base.with_(
        model="cnn",
        width=width,
        depth=cnn_depth(n_train, shape),
        dropout=0.2,
        learning_rate=0.004,
        weight_decay=0.05,
    )
    resnet = base.with_(model="resnet", width=width, depth=2, learning_rate=0.004, weight_decay=0.05)
    if device == "cuda":
        # Wide enough to learn pictures by heart: a part of each is always withheld.
        resnet = resnet.with_(width=width * 3 // 2, erase=0.5)
    return (
        linear,
        mlp,
        cnn.with_(**moved),
        cnn.with_(**mirrored),
        cnn,
        resnet.with_(**mirrored),
        cnn.with_(**mirrored, erase=0.5, colour=0.2),
        cnn.with_(width=width // 2, **moved),
        resnet.with_(**moved),
        mlp.with_(shift=0.1),
        cnn.with_(**mirrored, mixup=0.5),
    )
