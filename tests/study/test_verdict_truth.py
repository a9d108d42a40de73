"""Verdicts on generated tables whose truth is known: trained for real, judged with references."""

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.records import Config
from soundfit.study.baselines import trivial_scores
from soundfit.study.cross_validation import cross_validate_views
from soundfit.study.references import measure_references
from soundfit.study.verdict import own_losses, reach_verdict
from soundfit.study.views import table_views

BASE = Config(batch_size=32, epochs=24, patience=12, learning_rate=0.03, options={"beta2": 0.95})
LINEAR = BASE.with_(model="linear", width=0, depth=0, warmup=0.0, learning_rate=0.05, weight_decay=0.02)
SEARCH = (
    LINEAR,
    BASE.with_(width=24, depth=1, weight_decay=0.1),
    BASE.with_(width=48, depth=2, weight_decay=0.1),
)


def _rng(seed):
    return np.random.default_rng(seed)


def line(seed, n, snr, p=6):
    rng = _rng(seed)
    x = rng.normal(size=(n, p))
    f = x @ rng.normal(size=p)
    return x, f / f.std() + rng.normal(size=n) / np.sqrt(snr)


def wave(seed, n, noise):
    rng = _rng(seed)
    x = rng.uniform(-1, 1, size=(n, 2))
    return x, 1.4 * np.sin(4 * x[:, 0]) + x[:, 1] + noise * rng.normal(size=n)


def ring(seed, n):
    x = _rng(seed).normal(size=(n, 2))
    return x, np.where(np.hypot(*x.T) > 1.18, "outside", "inside")


def flipped(seed, n):
    rng = _rng(seed)
    x = rng.normal(size=(n, 4))
    y = (x[:, 0] + x[:, 1] > 0) ^ (rng.random(n) < 0.3)
    return x, np.where(y, "yes", "no")


CASES = {
    "a line with little noise": (line, (400, 20.0), SEARCH, {"good-fit"}),
    "a line in much noise": (line, (500, 0.6), SEARCH, {"noise-limited"}),
    "noise alone": (line, (400, 1e-12), SEARCH, {"noise-limited"}),
    "labels of which 30 % are flipped": (flipped, (600,), SEARCH, {"noise-limited"}),
    "a wave under a line": (wave, (500, 0.1), (LINEAR,), {"underfitting"}),
    "a ring under a line": (ring, (400,), (LINEAR,), {"not-learning", "underfitting"}),
    "a learning rate far too small": (
        wave, (400, 0.1), (BASE.with_(width=48, learning_rate=1e-5),), {"not-learning", "underfitting"},
    ),
    "one epoch": (
        wave, (400, 0.1), (BASE.with_(width=48, learning_rate=1e-3, epochs=1, patience=0),),
        {"not-learning", "underfitting"},
    ),
    "a decay that holds all weights at zero": (
        wave, (400, 0.1), (BASE.with_(width=48, weight_decay=60.0),), {"not-learning", "underfitting"},
    ),
    "more columns than rows": (
        lambda seed, n, p: line(seed, n, 10.0, p), (70, 120),
        (BASE.with_(width=128, epochs=40),), {"overfitting"},
    ),
    "a wide net on few noisy rows": (
        lambda seed, n, p: line(seed, n, 1.5, p), (120, 12), (BASE.with_(width=256, depth=3, epochs=60),),
        {"overfitting"},
    ),
    "a learning rate that diverges": (
        wave, (300, 0.1), (BASE.with_(width=32, learning_rate=1e4, epochs=8),), {"unstable"},
    ),
}  # fmt: skip


def verdict_on(x, y, configurations, seed):
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])])
    table = sf.read(frame.assign(y=y), target="y")
    views = table_views(table, sf.split(table, folds=5, seed=seed))
    result = cross_validate_views(views, configurations, seeds=(seed,)).result
    references = measure_references(views)
    return reach_verdict(result, trivial_scores(views), references, own_rows=own_losses(views, result))


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_the_truth(case):
    make, arguments, configurations, truth = CASES[case]
    verdict = verdict_on(*make(11, *arguments), configurations, seed=11)
    assert verdict.code in truth, verdict.text
    assert 0.5 < verdict.confidence < 1.0
    if verdict.code != "noise-limited":
        assert any(character.isdigit() for p in verdict.prescriptions for character in p.text)
