"""Grid: the configurations a study tries, and the ones ``train`` tries when nobody says otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from soundfit.records import Config

__all__ = ["base_configuration", "default_configurations", "expand_grid", "sized_to_rows"]

# Beyond that many continuous inputs waves cost more than they have been seen to bring.
_MOST_WAVES = 64


def expand_grid(base: Config, grid: Mapping[str, Sequence[Any]] | None) -> tuple[Config, ...]:
    """Return the product of a grid's values over a base configuration.

    >>> [c.width for c in expand_grid(Config(), {"width": [8, 16], "dropout": [0.0]})]
    [8, 16]

    Raises:
        ValueError: a grid entry has no values.
    """
    if not grid:
        return (base,)
    for name, values in grid.items():
        if isinstance(values, str) or not len(list(values)):
            raise ValueError(f"a grid has a list of one or more values per name, however: {name}={values!r}")
    names = list(grid)
    return tuple(
        base.with_(**dict(zip(names, combination, strict=True)))
        for combination in itertools.product(*(list(grid[n]) for n in names))
    )


def sized_to_rows(n_train: int) -> tuple[int, int]:
    """Return batch size and epochs for that many training rows.

    Small tables need many passes of small batches to take as many steps; a million rows learn as much
    in few passes. Steps stay between about 500 and 10,000.
    """
    if n_train < 400:
        return 32, min(max(48, 512 // max(n_train // 32, 1)), 256)
    if n_train < 1_000:
        return 32, 56
    if n_train < 5_000:
        return 128, min(max(500 // (n_train // 128), 32), 56)
    if n_train < 50_000:
        return 256, min(max(1_000 // (n_train // 256), 24), 48)
    return (512, 12) if n_train < 300_000 else (1024, 8)


def base_configuration(n_train: int, *, width: int, depth: int) -> Config:
    """Return what studies vary: a net of that size without restraint (depth 0: the linear model)."""
    batch, epochs = sized_to_rows(n_train)
    return Config(
        model="mlp" if depth else "linear",
        width=width if depth else 0,
        depth=depth,
        batch_size=batch,
        epochs=epochs,
        learning_rate=0.03,
        options={"beta2": 0.95},
    )


def default_configurations(
    n_train: int, *, model: str = "auto", numeric: Sequence[int] = ()
) -> tuple[Config, ...]:
    """Return what ``train`` tries: linear models over decay and rate, MLPs over size, decay and dropout.

    A schedule that anneals to zero does most of its good in its last epochs, so patience (half of all
    epochs) only ends members that have long turned.

    Args:
        n_train: training rows of a fold.
        model: ``auto`` for all, or one family alone.
        numeric: inputs that are continuous; most MLPs read them through waves as well.
    """
    batch, epochs = sized_to_rows(n_train)
    base = Config(batch_size=batch, epochs=epochs, patience=epochs // 2, options={"beta2": 0.95})
    linear = [
        base.with_(model="linear", width=0, depth=0, learning_rate=rate, weight_decay=decay, warmup=0.0)
        for rate, decay in ((0.01, 0.02), (0.05, 0.02), (0.05, 0.5))
    ]
    family = model if model in ("mlp", "resmlp") else "mlp"
    waves = (
        {"periodic": [int(i) for i in numeric]} if family == "mlp" and 0 < len(numeric) <= _MOST_WAVES else {}
    )
    free, mild, firm, firmer = (0.0, 0.02), (0.15, 0.1), (0.15, 0.3), (0.15, 1.0)
    sizes = (
        (32, 1, 0.03, False, (free, firm)),
        (64, 2, 0.1, True, (free, mild)),
        (64, 2, 0.03, True, (firm,)),
        (128, 2, 0.1, True, (free, mild)),
        (128, 2, 0.03, True, (firm, firmer)),
        (64, 2, 0.03, False, (firm,) if waves else (firmer,)),
        (128, 2, 0.03, False, (firm,) if waves else (free,)),
        (128, 2, 0.01, True, (firm,)),
        (192 if waves else 256, 2, 0.1, True, (mild,)),
    )
    nets = [
        base.with_(
            model=family,
            width=width,
            depth=depth,
            dropout=dropout,
            weight_decay=decay,
            learning_rate=rate,
            **(waves if wavy else {}),
        )
        for width, depth, rate, wavy, restraints in sizes
        for dropout, decay in restraints
    ]
    if model == "linear":
        return tuple(linear)
    return tuple(linear + nets) if model == "auto" else tuple(nets)
