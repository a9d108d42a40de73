"""Nets of infinite width: solved as their equations say, partners of a study and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge

import soundfit as sf
from soundfit.bank import BankData, MemberRows
from soundfit.data.source import read
from soundfit.models.infinite import InfiniteMlp
from soundfit.study import infinite
from soundfit.study.blend import blend_study
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.infinite import (
    _Few,
    _many,
    _Wanted,
    infinite_configurations,
    infinite_seconds,
    solve_infinite,
    with_infinite,
)
from soundfit.study.views import table_views


def _net(x, m, n_outputs=1, trained="all"):
    module = InfiniteMlp(x.shape[1], n_outputs, depth=2, landmarks=m, trained=trained)
    module.landmarks.copy_(x[:m])
    return module


def _rows(n=40, f=3, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, f)), rng.normal(size=(n, 1))
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


def test_leaving_one_out_equals_solving_without_it():
    """The slow twin: n solutions, each of n - 1 rows."""
    x, y = _rows()
    kernel = _net(x, 40).kernel(x).detach()
    few = _Few.of(kernel)
    for ridge in few.ridges[2::4]:
        guesses = few.left_out(y, ridge)
        for row in range(0, 40, 3):
            seen = torch.arange(40) != row
            among = kernel[seen][:, seen] + ridge * torch.eye(39, dtype=torch.float64)
            alone = kernel[row, seen] @ torch.linalg.solve(among, y[seen])
            assert float(alone - guesses[row]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("n_landmarks", [40, 15])
def test_few_and_many_rows_have_the_weights_of_kernel_ridge_regression(n_landmarks):
    x, y = _rows()
    module = _net(x, n_landmarks)
    kernel = module.kernel(x).detach()
    few = _Few.of(_net(x, 40).kernel(x).detach())
    wanted = _Wanted(y, torch.zeros(1), None)
    for ridge in few.ridges[3::4]:
        ours = kernel @ _many(module, x, wanted, ridge)
        if n_landmarks == 40:
            peer = KernelRidge(alpha=ridge, kernel="precomputed").fit(kernel.numpy(), y.numpy())
            expected = torch.from_numpy(peer.predict(kernel.numpy()))
            torch.testing.assert_close(kernel @ few.weight(y, ridge), expected, atol=1e-6, rtol=0)
        else:
            # The minimum of |K w - y|² + ridge · wᵀ K w over the landmarks' weights.
            normal = kernel.T @ kernel + ridge * kernel[:n_landmarks]
            expected = kernel @ torch.linalg.lstsq(normal, kernel.T @ y).solution
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_blocks_of_rows_change_nothing(monkeypatch):
    x, y = _rows()
    given = _net(x, 15), x, _Wanted(y, torch.zeros(1), None), 0.1
    whole = _many(*given)
    monkeypatch.setattr(infinite, "_ROWS_A_BLOCK", 7)
    torch.testing.assert_close(_many(*given), whole, atol=1e-6, rtol=1e-5)


def _data(task, n=140, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    signal = np.sin(2 * x[:, 0]) * x[:, 1]
    y = signal + 0.1 * rng.normal(size=n)
    y = y.astype(np.float32)[:, None] if task == "values" else (y > 0).astype(np.int64)
    return BankData.of(x[None], y[None])


ROWS = MemberRows(0, np.arange(100), np.arange(100, 140), 0)


@pytest.mark.parametrize("task", ["values", "classes"])
def test_a_curved_function_is_learnt_from_a_hundred_rows(task):
    data = _data(task)
    module = InfiniteMlp(2, 1 if task == "values" else 2, depth=2, landmarks=100)
    outcome = solve_infinite(module, ROWS, data)
    assert outcome.status == "done"
    assert outcome.n_parameters == sum(p.numel() for p in module.parameters())
    if task == "values":
        variance = float(data.targets_VN[0, ROWS.validation].var())
        assert outcome.validation_loss < 0.25 * variance
    else:
        assert outcome.validation_loss < 0.5  # 0.69 for who knows nothing
    again = outcome.module(data.inputs_VN[0, ROWS.validation])
    torch.testing.assert_close(again, outcome.validation_outputs)


def test_noise_is_answered_with_the_mean():
    data = _data("values")
    rng = np.random.default_rng(5)
    noise = torch.from_numpy(rng.normal(3.0, 1.0, size=(1, 140, 1)).astype(np.float32))
    outcome = solve_infinite(InfiniteMlp(2, 1, depth=1, landmarks=100), ROWS, replace(data, targets_VN=noise))
    assert float((outcome.validation_outputs - 3.0).abs().max()) < 0.6


def test_a_class_that_the_rows_lack_is_improbable():
    data = _data("classes")
    outcome = solve_infinite(InfiniteMlp(2, 3, depth=1, landmarks=100), ROWS, data)
    assert float(outcome.validation_outputs.softmax(1)[:, 2].max()) < 0.1


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 30), m=st.integers(1, 40), f=st.integers(1, 4), values=st.booleans(),
    kind=st.sampled_from(["normal", "constant", "twice", "huge"]), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_any_rows_have_a_finite_solution(n, m, f, values, kind, seed):
    """Constant columns, equal rows, huge values, more landmarks than rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n + 3, f)).astype(np.float32)
    if kind == "constant":
        x[:] = 1.0
    if kind == "twice":
        x[1::2] = x[: len(x[1::2])]
    if kind == "huge":
        x *= 1e4
    y = rng.normal(size=(n + 3, 1)).astype(np.float32) if values else rng.integers(0, 2, n + 3)
    rows = MemberRows(0, np.arange(n), np.arange(n, n + 3), 0)
    net = InfiniteMlp(f, 1 if values else 2, depth=1, landmarks=m)
    outcome = solve_infinite(net, rows, BankData.of(x[None], y[None]), seed=seed % 7)
    assert outcome.status == "done"
    assert bool(outcome.validation_outputs.isfinite().all())


@pytest.fixture(scope="module")
def trained(tables):
    table = read(tables / "hitters.csv", target="Salary")
    views = table_views(table, sf.split(table, folds=3, seed=0))
    configs = [sf.Config(width=8, depth=1, epochs=20), sf.Config(model="linear", width=0, depth=0, epochs=20)]
    return views, cross_validate_views(views, configs)


def test_the_study_keeps_its_choice_and_the_blend_may_hold_them(trained):
    views, study = trained
    told = []
    more = with_infinite(views, study, seed=0, seconds_left=float("inf"), hooks=Hooks(on_epoch=told.append))
    old, new = study.result, more.result
    assert (new.chosen, new.rule, new.details) == (old.chosen, old.rule, old.details)
    np.testing.assert_array_equal(new.predictions, old.predictions)
    np.testing.assert_array_equal(new.scores_CK[: len(old.configurations)], old.scores_CK)
    added = new.configurations[len(old.configurations) :]
    assert {c.model for c in added} == {"infinite"}
    assert sum(told) == len(added) * len(views.folds)
    # 20 epochs of small nets are far behind what is solved.
    blend = blend_study(views, more)
    assert any(new.configurations[c].model == "infinite" for c in blend.configurations)
    assert blend.loss < blend.loss_alone


def test_workers_solve_as_the_caller_does(trained, monkeypatch):
    views, study = trained
    given = {"seed": 0, "seconds_left": float("inf"), "hooks": Hooks()}
    alone = with_infinite(views, study, **given)
    monkeypatch.setattr(infinite, "_WORTH_A_FORK", 0)
    monkeypatch.setattr(infinite, "default_workers", lambda device: 2)
    forked = with_infinite(views, study, **given)
    for a, b in zip(alone.outcomes, forked.outcomes, strict=True):
        torch.testing.assert_close(a.validation_outputs, b.validation_outputs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("why", ["stopped", "in the middle", "no time"])
def test_without_time_the_study_returns_as_it_was(trained, why):
    views, study = trained
    asked = iter(range(1000))
    stop = {"stopped": lambda: True, "in the middle": lambda: next(asked) > 3, "no time": lambda: False}[why]
    left = 1e-6 if why == "no time" else float("inf")
    assert with_infinite(views, study, seed=0, seconds_left=left, hooks=Hooks(should_stop=stop)) is study


def test_fewer_shapes_of_more_rows_and_none_of_very_few_or_very_many():
    assert infinite_configurations([9, 30]) == ()
    assert infinite_configurations([60_000] * 5) == ()
    assert len(infinite_configurations([500, 500])) > len(infinite_configurations([1500, 1500])) > 0
    assert infinite_configurations([6_000] * 5)[0]["landmarks"] < 6_000
    assert infinite_seconds([1000] * 5, 10) < infinite_seconds([1500] * 5, 10) < 600
