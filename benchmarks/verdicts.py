"""Verdicts on polynomial data whose truth is known: five situations, many draws, the share that is right.

Each draw takes a degree (2 to 4), one to three inputs, random coefficients and a noise level; classes are
the sign of the same polynomial, with labels flipped for noise. Members are trained for real on five folds and
judged with references, as ``soundfit train`` does it.

    python benchmarks/verdicts.py --draws 100
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import Counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

import soundfit as sf
from soundfit.bank.threads import one_thread
from soundfit.records import Config
from soundfit.study.baselines import trivial_scores
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.references import measure_references
from soundfit.study.verdict import own_losses, reach_verdict
from soundfit.study.views import table_views

BASE = Config(batch_size=32, epochs=80, patience=40, learning_rate=0.03, options={"beta2": 0.95})
LINEAR = BASE.with_(model="linear", width=0, depth=0, warmup=0.0, learning_rate=0.05, weight_decay=0.02)
SEARCH = (
    LINEAR,
    BASE.with_(width=32, depth=1, weight_decay=0.1),
    BASE.with_(width=64, depth=2, weight_decay=0.02, learning_rate=0.1),
    BASE.with_(width=64, depth=2, weight_decay=0.3, dropout=0.1),
)
HUGE = (BASE.with_(width=256, depth=3, epochs=80, patience=0),)

# name: rows, share of the target's variance (or of flipped labels) that is noise, configurations, truth
SITUATIONS: dict[str, tuple[tuple[int, int], tuple[float, float], tuple[Config, ...], set[str]]] = {
    "too small a model forced": ((300, 500), (0.0, 0.05), (LINEAR,), {"underfitting", "not-learning"}),
    "too large without restraint": ((60, 120), (0.3, 0.6), HUGE, {"overfitting"}),
    "right": ((400, 600), (0.0, 0.03), SEARCH, {"good-fit"}),
    "pure noise": ((200, 500), (1.0, 1.0), SEARCH, {"noise-limited"}),
    "noise-limited": ((500, 800), (0.45, 0.7), SEARCH, {"noise-limited"}),
}
FLIPS = {
    "too small a model forced": (0.0, 0.02),
    "too large without restraint": (0.2, 0.3),
    "right": (0.0, 0.0),
    "pure noise": (0.5, 0.5),
    "noise-limited": (0.2, 0.3),
}


def polynomial(rng: np.random.Generator, x: Any, degree: int) -> Any:
    """Return a random polynomial of that degree of the columns of x, standardised, far from a straight line.

    Legendre polynomials of each column with random signs, and one product; degree 1 has the least say.
    """
    total = np.zeros(len(x))
    for column in x.T:
        weights = np.zeros(degree + 1)
        weights[1:] = rng.choice([-1.0, 1.0], size=degree) * rng.uniform(0.6, 1.0, size=degree)
        weights[1] *= 0.5
        total += np.polynomial.legendre.legval(column, weights * np.sqrt(2 * np.arange(degree + 1) + 1))
    if x.shape[1] > 1:
        total += x[:, 0] * x[:, 1]
    return (total - total.mean()) / total.std()


def draw(name: str, seed: int, *, classes: bool) -> tuple[pd.DataFrame, tuple[Config, ...]]:
    """Return a table of that situation and the configurations that are tried on it."""
    rows, noise, configurations, _ = SITUATIONS[name]
    rng = np.random.default_rng([seed, len(name), classes])
    n, inputs, degree = int(rng.integers(*rows)), int(rng.integers(1, 4)), int(rng.integers(2, 5))
    # A net of far too many units needs columns to go astray with.
    extra = 8 if name == "too large without restraint" else 0
    x = rng.uniform(-1, 1, size=(n, inputs + extra))
    signal = polynomial(rng, x[:, :inputs], degree)
    if classes:
        share = rng.uniform(*FLIPS[name])
        y: Any = np.where((signal > 0) ^ (rng.random(n) < share), "yes", "no")
        if name == "too small a model forced":  # a line must fail: the middle against both ends
            y = np.where((np.abs(x[:, 0]) > 0.5) ^ (rng.random(n) < share), "yes", "no")
    else:
        share = rng.uniform(*noise)
        y = np.sqrt(1 - share) * signal + np.sqrt(share) * rng.normal(size=n)
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]).assign(y=y), configurations


def verdict_on(frame: pd.DataFrame, configurations: tuple[Config, ...], seed: int) -> Any:
    """Train on five folds, ask other kinds of model, judge."""
    table = sf.read(frame, target="y")
    views = table_views(table, sf.split(table, folds=5, seed=seed))
    with one_thread():
        result = cross_validate_views(views, configurations, seeds=(seed,)).result
    references = measure_references(views)
    return reach_verdict(result, trivial_scores(views), references, own_rows=own_losses(views, result))


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--only", nargs="*", default=list(SITUATIONS))
    parser.add_argument("--task", choices=("both", "regression", "classification"), default="both")
    given = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, torch {torch.__version__}, soundfit {sf.__version__}\n")
    print("| task | situation | right | of | other verdicts | CPU s a draw |")
    print("|---|---|---|---|---|---|", flush=True)
    tasks = ("regression", "classification") if given.task == "both" else (given.task,)
    for task in tasks:
        for name in given.only:
            truth, others = SITUATIONS[name][3], Counter()
            started = time.process_time()
            for seed in range(given.first, given.first + given.draws):
                frame, configurations = draw(name, seed, classes=task == "classification")
                code = verdict_on(frame, configurations, seed).code
                if code not in truth:
                    others[code] += 1
                    print(f"<!-- {task}, {name}, seed {seed}: {code} -->", flush=True)
            spent = (time.process_time() - started) / given.draws
            right = given.draws - sum(others.values())
            told = ", ".join(f"{n} {code}" for code, n in others.items())
            print(f"| {task} | {name} | {right} | {given.draws} | {told} | {spent:.1f} |", flush=True)


if __name__ == "__main__":
    main()
