"""Refit: a fair comparison one scale smaller, and members on all rows that equal a module trained alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import soundfit as sf
from soundfit.bank import train_members
from soundfit.bank.order import epoch_order, steps_per_epoch
from soundfit.bank.schedule import multiplier
from soundfit.data.encoder import fit_encoder
from soundfit.records import Config, Fold
from soundfit.study import refit as refitting
from soundfit.study.blend import Blend, blend_study
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.infinite import with_infinite
from soundfit.study.refit import are_complements, refit, refit_where_better, validate_refit, whole_views
from soundfit.study.solved import solved_outcome
from soundfit.study.views import table_views
from soundfit.workflow.final import final_predictor, refit_record

CONFIG = Config(width=8, depth=1, batch_size=16, epochs=20, learning_rate=0.02, warmup=0.05)


def frame_of(n, d, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    y = x @ rng.normal(size=d) / d**0.5 + noise * rng.normal(size=n)
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(d)]).assign(y=y)


def views_of(frame, folds=4, **given):
    table = sf.read(frame, target="y")
    return table_views(table, sf.split(table, folds=folds, **given))


@pytest.fixture(scope="module")
def studied():
    views = views_of(frame_of(90, 3))
    linear = CONFIG.with_(model="linear", width=0, depth=0, warmup=0.0)
    study = cross_validate_views(views, (linear, CONFIG))
    blend = Blend((1, 0), (0.75, 0.25), study.result.predictions, 1.0, 1.0, 1)
    return views, study, blend


def recording(calls, change=None):
    """Return hooks whose training is recorded, and changed where asked."""

    def train(make_module, configs, rows, data, **given):
        outcomes = train_members(make_module, configs, rows, data, **given)
        calls.append((list(configs), list(rows), outcomes))
        return outcomes if change is None else change(outcomes, rows)

    return Hooks(train=train)


def test_refitted_members_equal_a_module_trained_alone(studied):
    views, study, blend = studied
    found = refit(views, study, blend, seed=3)
    assert [m.configuration for m in found.members] == [1] * 4 + [0] * 4
    assert [m.weight for m in found.members] == pytest.approx([0.75 / 4] * 4 + [0.25 / 4] * 4)
    whole = found.views
    x, y = whole.data.inputs_VN[0], whole.data.targets_VN[0]
    n_steps = steps_per_epoch(len(x), 16)
    for at, member in enumerate(found.members):
        best = [o.best_epoch for _, o in study.outcomes_of(member.configuration)]
        epochs = max(1, int(np.median(best)))
        assert dict(found.epochs)[member.configuration] == epochs == member.outcome.epochs
        config = study.result.configurations[member.configuration]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3_700 + at)
            module = views.build(config)
        scales = getattr(module, "parameter_scales", {})
        groups = [
            {"params": [p], "by": scales.get(name, (1.0, 1.0))} for name, p in module.named_parameters()
        ]
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=0.0)
        rates = config.learning_rate * multiplier(config.schedule, config.epochs * n_steps, config.warmup)
        step = 0
        for epoch in range(1, epochs + 1):
            order = epoch_order(len(x), 16, seed=3_700 + at % 4, epoch=epoch, device=torch.device("cpu"))
            for batch in order:
                for group in optimizer.param_groups:
                    group["lr"] = float(rates[step]) * group["by"][0]
                optimizer.zero_grad()
                nn.functional.mse_loss(module(x[batch]), y[batch]).backward()
                optimizer.step()
                step += 1
        for name, value in module.state_dict().items():
            torch.testing.assert_close(member.outcome.tensors[name], value, rtol=2e-4, atol=2e-5)


def test_preprocessing_of_a_refit_is_fitted_on_all_rows(studied):
    views = studied[0]
    whole, n = whole_views(views), len(views.target)
    assert len(whole.folds[0].train) == n
    twin = fit_encoder(views.encoders[0].layout, views.table.frame, np.arange(n))
    assert np.array_equal(whole.encoders[0].median, twin.median)
    assert whole.scales[0].mean == pytest.approx(views.target.mean())
    assert float(whole.data.targets_VN.std(correction=0)) == pytest.approx(1.0, abs=1e-5)


def test_nothing_that_is_judged_was_seen(studied):
    views = studied[0]
    calls = []
    first = validate_refit(views, CONFIG, hooks=recording(calls))
    (_, pairs, pair_outcomes), (configs, trials, trial_outcomes) = calls
    assert len(pairs) == len(trials) == 4 * 3
    for one, other in zip(pairs, trials, strict=True):
        judged = views.folds[one.view].validation
        assert one.view == other.view
        assert not np.intersect1d(one.train, judged).size
        assert not np.intersect1d(one.validation, judged).size
        assert not np.intersect1d(one.train, one.validation).size
        assert np.array_equal(np.sort(other.train), views.folds[one.view].train)
    for f in range(4):
        best = np.median([o.best_epoch for r, o in zip(pairs, pair_outcomes, strict=True) if r.view == f])
        assert {c.epochs for c, r in zip(configs, trials, strict=True) if r.view == f} == {max(1, int(best))}
    # Poison: other targets in a judged fold change no weight of those who are judged there.
    poisoned = views.data.targets_VN.clone()
    for f, fold in enumerate(views.folds):
        poisoned[f, torch.from_numpy(fold.validation)] += 100.0
    again = []
    data = replace(views.data, targets_VN=poisoned)
    second = validate_refit(replace(views, data=data), CONFIG, hooks=recording(again))
    assert second == first
    for before, after in zip((*pair_outcomes, *trial_outcomes), (*again[0][2], *again[1][2]), strict=True):
        assert before.best_epoch == after.best_epoch
        for name, value in before.tensors.items():
            assert torch.equal(value, after.tensors[name])


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([[value]]))

    def forward(self, x):
        return self.value.expand(len(x), 1)


@pytest.mark.parametrize("refit_is_better", [True, False])
def test_the_comparison_is_the_paired_difference_of_losses_by_hand(studied, refit_is_better):
    views, calls = studied[0], []
    values = (0.5, 0.0) if refit_is_better else (0.0, 0.5)

    def train(make_module, configs, rows, data, **given):
        calls.append(rows)
        value = values[len(calls) - 1]
        return [
            solved_outcome(Constant(value), torch.zeros(len(r.validation), 1), 1.0, 1.0, epochs=1)
            for r in rows
        ]

    found = validate_refit(views, CONFIG, judged=3, each=2, hooks=Hooks(train=train))
    losses = {0.0: [], 0.5: []}
    for value, kept in losses.items():
        for f in range(3):
            scale, rows = views.scales[f], views.folds[f].validation
            kept.append((views.target[rows] - (value * scale.sd + scale.mean)) ** 2)
    folds, again = (np.concatenate(losses[value]) for value in values)
    assert found.rows == len(folds)
    assert found.loss == pytest.approx(again.mean())
    assert found.loss_folds == pytest.approx(folds.mean())
    assert found.difference == pytest.approx((again - folds).mean())
    assert found.se == pytest.approx((again - folds).std(ddof=1) / len(folds) ** 0.5)
    assert found.better == refit_is_better


def test_a_refit_validates_better_where_rows_are_what_is_missing():
    """More columns than rows on which fold members train one scale smaller, fewer than a fold's."""
    views = views_of(frame_of(120, 55, noise=0.0), folds=4)
    config = Config(
        model="linear", width=0, depth=0, batch_size=24, epochs=200, learning_rate=0.1, warmup=0.0
    )
    found = validate_refit(views, config)
    assert found.better
    assert found.difference < -2 * found.se


def test_fold_members_stay_where_they_validate_better_or_nothing_can_be_compared(studied, monkeypatch):
    views, study, blend = studied
    given = {"seed": 0, "hooks": Hooks()}
    monkeypatch.setattr(refitting.Comparison, "better", False)
    found = refit_where_better(views, study, blend, **given)
    assert (found.chosen, found.members) == (False, ())
    record = refit_record(found)
    assert record["chosen"] is False
    assert record["rows"] == len(views.target)
    kept = final_predictor(views, study, blend, found)
    assert len(kept.modules) == 8
    assert kept.outputs(views.table.frame) == pytest.approx(
        final_predictor(views, study, blend).outputs(views.table.frame)
    )
    stopped = {**given, "hooks": Hooks(should_stop=lambda: True)}
    assert refit_where_better(views, study, blend, **stopped) is None
    assert refit_where_better(views, study, blend, seconds_left=0.0, **given) is None
    monkeypatch.setattr(refitting, "_COST", 0.0)
    monkeypatch.setattr(refitting, "_DESIGNS", ((3, 3, 3, 1e-9),))
    assert refit_where_better(views, study, blend, **given) is None
    monkeypatch.undo()
    monkeypatch.setattr(refitting, "_MOST_ROWS", 50)
    assert refit_where_better(views, study, blend, **given) is None


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_stopping_at_any_stage_keeps_the_fold_members(studied, stage, monkeypatch):
    views, study, blend = studied
    monkeypatch.setattr(refitting.Comparison, "better", True)
    calls = []

    def cut(outcomes, rows):
        if len(calls) - 1 == stage:
            outcomes[-1] = replace(outcomes[-1], status="interrupted")
        return outcomes

    assert refit_where_better(views, study, blend, seed=0, hooks=recording(calls, cut)) is None
    assert len(calls) == stage + 1


def test_only_folds_that_are_each_others_complements_have_a_smaller_scale():
    rows = np.arange(12)
    folds = [Fold(np.setdiff1d(rows, part), part) for part in np.split(rows, 3)]
    assert are_complements(folds, 12)
    assert not are_complements(folds[:2], 12)
    assert not are_complements([*folds[:2], Fold(folds[2].train[1:], folds[2].validation)], 12)
    by_time = [Fold(rows[:k], rows[k : k + 4]) for k in (4, 8)]
    assert not are_complements([Fold(rows[:4], rows[:4]), *by_time], 12)


def test_solved_nets_are_solved_once_on_all_rows_and_none_alone_is_compared(studied):
    views, study, _ = studied
    joined = with_infinite(views, study, seed=0, seconds_left=float("inf"), hooks=Hooks())
    solved = [c for c, config in enumerate(joined.result.configurations) if config.model == "infinite"]
    blend = replace(blend_study(views, joined), configurations=(solved[0], 1), weights=(0.6, 0.4))
    found = refit(views, joined, blend)
    assert [m.configuration for m in found.members] == [solved[0], *[1] * 4]
    assert found.members[0].weight == pytest.approx(0.6)
    assert found.members[0].config["landmarks"] == len(views.target)
    predictor = final_predictor(views, joined, blend, found)
    assert len(predictor.distinct_encoders) == 1
    # The slow twin: every member alone, averaged by hand.
    frame, by_hand = views.table.frame, 0.0
    x = torch.from_numpy(found.views.encoders[0].transform(frame))
    for member in found.members:
        outputs = member.outcome.module(x).detach().double().numpy()
        by_hand = by_hand + member.weight * found.views.predictions(0, outputs)
    assert np.allclose(predictor.outputs(frame), by_hand, atol=1e-5)
    alone = replace(blend, configurations=(solved[0],), weights=(1.0,))
    assert refit_where_better(views, joined, alone, seed=0, hooks=Hooks()) is None
