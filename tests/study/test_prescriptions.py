"""Prescriptions that training tries: what is proposed, what they change, and a study joined from two."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import soundfit as sf
from soundfit.models.net import build
from soundfit.records import Config, Verdict
from soundfit.study.cross_validation import Hooks, cross_validate_views
from soundfit.study.prescriptions import best_net, fewer_inputs, join_studies, proposals
from soundfit.study.views import table_views
from soundfit.workflow.prescribe import prescribe

BASE = Config(batch_size=32, epochs=20, patience=10, learning_rate=0.03, options={"beta2": 0.95})
LINEAR = BASE.with_(model="linear", width=0, depth=0, warmup=0.0, learning_rate=0.05, weight_decay=0.02)


def _views(n=240, columns=8, seed=0, folds=4, noise=0.1):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, columns))
    y = np.sin(4 * x[:, 0]) + x[:, 1] + noise * rng.normal(size=n)
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(columns)]).assign(y=y)
    table = sf.read(frame, target="y")
    return table_views(table, sf.split(table, folds=folds, seed=seed))


def test_two_studies_joined_are_the_study_of_both():
    views = _views()
    configs = (LINEAR, BASE.with_(width=16, depth=1), BASE.with_(width=24, depth=2))
    whole = cross_validate_views(views, configs).result
    joined = join_studies(
        views, cross_validate_views(views, configs[:1]), cross_validate_views(views, configs[1:])
    ).result
    assert joined.configurations == whole.configurations
    assert joined.chosen == whole.chosen
    assert np.allclose(joined.scores_CK, whole.scores_CK, rtol=1e-5)
    assert np.allclose(joined.predictions, whole.predictions, rtol=1e-4, atol=1e-5)
    assert [m.member.configuration for m in joined.members] == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize("config", [LINEAR, BASE.with_(width=32, depth=1)])
def test_columns_that_carry_are_kept_and_noise_is_dropped(config):
    views = _views(n=400, columns=12)
    study = cross_validate_views(views, (config.with_(weight_decay=0.3),))
    keep = fewer_inputs(views, study)
    assert keep is not None
    assert {0, 1} <= set(keep)
    assert len(keep) <= 9


def test_a_net_that_reads_some_inputs_ignores_the_others():
    torch.manual_seed(0)
    config = Config(width=8, depth=1, options={"reads": [1, 3], "periodic": [0, 3]})
    net = build(config, 5, 2).eval()
    x = torch.randn(6, 5)
    changed = x.clone()
    changed[:, [0, 2, 4]] = 9.0
    assert torch.equal(net(x), net(changed))
    changed[:, 3] += 1.0
    assert not torch.equal(net(x), net(changed))
    assert set(net.parameter_scales) <= {name for name, _ in net.named_parameters()}
    with pytest.raises(ValueError, match="a net reads inputs 0 to 4"):
        build(config.with_(reads=[7]), 5, 2)


CODES = ("underfitting", "good-fit", "overfitting", "noise-limited", "not-learning", "unstable")


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("config", [LINEAR, BASE.with_(dropout=0.15, weight_decay=0.3, width=64, depth=2)])
def test_what_is_proposed_changes_the_configuration_and_says_how(code, config):
    given = proposals(Verdict(code, ""), config, keep=[0, 2])
    assert given
    for p in given:
        assert config.with_(**p.change) != config
        assert any(character.isdigit() for character in p.text)
    if code == "underfitting":
        assert "More capacity" in given[0].text
    if code == "overfitting":
        assert given[0].change["weight_decay"] > config.weight_decay


@pytest.mark.parametrize("code", CODES)
def test_a_thorough_training_is_tried_first_where_it_is_wanted(code):
    config = BASE.with_(width=64, depth=2, dropout=0.3, weight_decay=0.02, epochs=40, patience=20)
    first = proposals(Verdict(code, ""), config, thorough=config)[0]
    assert first.change == {"epochs": 120, "patience": 60, "weight_decay": 0.3}
    assert "120" in first.text
    assert first not in proposals(Verdict(code, ""), config)


def test_where_a_linear_model_was_chosen_the_best_net_is_trained_thoroughly():
    net = BASE.with_(width=64, depth=2, learning_rate=0.03, epochs=40, patience=20, periodic=[0, 1])
    solved = LINEAR.with_(solver="ridge", penalty=0.1)
    first = proposals(Verdict("good-fit", ""), solved, thorough=net)[0]
    after = solved.with_(**first.change)
    assert (after.model, after.width, after.depth, after.epochs) == ("mlp", 64, 2, 120)
    assert (after.learning_rate, after.dropout, after.weight_decay) == (0.03, 0.15, 0.3)
    assert after.get("periodic") == [0, 1]
    assert after.get("solver") is None
    assert all(number in first.text for number in ("64", "120"))


def test_the_net_to_train_thoroughly_is_the_chosen_one_or_else_the_best():
    views = _views()
    nets = [BASE.with_(model="mlp", width=w, depth=1, epochs=2) for w in (2, 16)]
    study = cross_validate_views(views, (LINEAR, *nets))
    chosen_net = replace(study.result, chosen=1)
    assert best_net(chosen_net) == nets[0]
    linear = replace(study.result, chosen=0)
    means = study.result.scores_CK.mean(1)
    assert best_net(linear) == nets[int(np.argmin(means[1:]))]
    alone = cross_validate_views(views, (LINEAR,))
    assert best_net(alone.result) is None


def test_strong_decay_is_tried_at_a_rate_that_makes_it_felt():
    config = BASE.with_(width=64, depth=2, dropout=0.15, weight_decay=0.3, learning_rate=0.03)
    assert {"weight_decay": 1.0, "learning_rate": 0.1} in [
        p.change for p in proposals(Verdict("overfitting", ""), config)
    ]
    for other in (config.with_(learning_rate=0.1), config.with_(weight_decay=0.02)):
        assert not any("rate of" in p.text for p in proposals(Verdict("overfitting", ""), other)[:1])


def test_labels_are_smoothed_where_there_are_classes_and_once():
    config = BASE.with_(width=64, depth=2)

    def smoothed(config, *, classes):
        given = proposals(Verdict("noise-limited", ""), config, classes=classes)
        return [p.change["label_smoothing"] for p in given if "label_smoothing" in p.change]

    assert smoothed(config, classes=True) == [0.05]
    assert smoothed(config, classes=False) == []
    assert smoothed(config.with_(label_smoothing=0.05), classes=True) == []


def test_training_cures_a_model_that_is_too_small():
    views = _views(columns=2)
    study = cross_validate_views(views, (LINEAR.with_(epochs=80, patience=0),))

    def judge(study):
        return Verdict("good-fit" if study.result.chosen_config.depth else "underfitting", "")

    cured, tried = prescribe(
        views, study, judge, model="auto", seed=0, device=torch.device("cpu"), hooks=Hooks()
    )
    larger = next(p for p in tried if "More capacity" in p.text)
    assert larger.after < 0.6 * larger.before
    assert larger.kept
    assert cured.result.chosen_config.depth == 2
    assert all(p.before is not None and p.after is not None for p in tried)


def test_a_family_that_was_asked_for_stays():
    views = _views()
    study = cross_validate_views(views, (LINEAR,))
    cured, tried = prescribe(
        views,
        study,
        lambda study: Verdict("underfitting", ""),
        model="linear",
        seed=0,
        device=torch.device("cpu"),
        hooks=Hooks(),
    )
    assert {c.model for c in cured.result.configurations} == {"linear"}
    assert tried


@pytest.mark.parametrize(("few", "depth", "tried"), [(0, 1, True), (10**6, 1, False), (10**6, 0, True)])
def test_a_thorough_training_needs_rows_unless_a_linear_model_was_chosen(monkeypatch, few, depth, tried):
    monkeypatch.setattr("soundfit.workflow.prescribe._FEW", few)
    views = _views(columns=2)
    net = BASE.with_(width=16, depth=1)
    configs = (net,) if depth else (LINEAR, net.with_(width=2, epochs=2, patience=2))
    study = cross_validate_views(views, configs)
    assert study.result.chosen_config.depth == depth
    joined, _ = prescribe(
        views,
        study,
        lambda study: Verdict("good-fit", ""),
        model="auto",
        seed=0,
        device=torch.device("cpu"),
        hooks=Hooks(),
    )
    long = 3 * configs[-1].epochs
    thorough = [c for c in joined.result.configurations if c.epochs == long and c.dropout == 0.15]
    assert bool(thorough) == tried
