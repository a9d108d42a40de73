"""Each verdict on a made-up study whose answer is known, and its healthy neighbour."""

from dataclasses import replace

import numpy as np
import pytest

from soundfit.records import Config, Event, Member, MemberResult, StudyResult, Trace
from soundfit.study.evidence import Rival, collect_evidence
from soundfit.study.verdict import capacity_points, judge, reach_verdict

SIZES = [("linear", 0, 0, 10), ("mlp", 32, 1, 100), ("mlp", 64, 2, 1000), ("mlp", 128, 2, 5000)]


def _study(training, validation, *, chosen, spread=0.002, events=0, best_epoch=20, restraint=None):
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, size=5)
    shared -= shared.mean()
    own = rng.normal(0, spread, size=(len(validation), 5))
    own -= own.mean(axis=1, keepdims=True)
    scores = np.array(validation)[:, None] * (1 + shared + own)
    configs = [Config(model=m, width=w, depth=d, weight_decay=0.1) for m, w, d, _ in SIZES]
    members = []
    for c, config in enumerate(configs):
        for fold in range(5):
            happened = (Event("rollback", 1, "non-finite"),) if len(members) < events else ()
            trace = Trace("epoch", np.arange(1.0, 3.0), {}, events=happened)
            member = Member(fold, c, 0, config.with_(epochs=40))
            members.append(
                MemberResult(member, "done", best_epoch, 40, training[c], scores[c, fold], 0.1, 0.1, trace)
            )
    training_CK = np.repeat(np.array(training)[:, None], 5, axis=1)
    sizes = tuple(n for *_, n in SIZES)
    return StudyResult(
        "cv", "rmse", False, tuple(configs), sizes, tuple(members), scores, training_CK, chosen, "", 1, 0.0
    ), 1.0 * (1 + shared)


CASES = {
    "good-fit": _study([0.5, 0.3, 0.25, 0.2], [0.52, 0.40, 0.36, 0.39], chosen=2),
    "underfitting": _study([0.9, 0.7, 0.5, 0.3], [0.92, 0.72, 0.52, 0.33], chosen=3),
    "overfitting": _study([0.2, 0.05, 0.01, 0.0], [0.5, 0.6, 0.65, 0.7], chosen=0),
    "noise-limited": _study([0.79, 0.78, 0.77, 0.76], [0.80, 0.80, 0.80, 0.80], chosen=1),
    "not-learning": _study([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], chosen=0),
    "unstable": _study([0.5, 0.3, 0.25, 0.2], [0.52, 0.40, 0.36, 0.39], chosen=2, events=15),
}


@pytest.mark.parametrize("code", CASES)
def test_each_verdict_is_reached_from_its_evidence(code):
    result, trivial = CASES[code]
    verdict = reach_verdict(result, trivial)
    assert verdict.code == code
    assert verdict.prescriptions
    assert "validation rmse" in verdict.evidence[0]


def test_models_that_fit_but_do_not_hold_are_called_noise_limited_not_learning():
    result, trivial = _study([0.9, 0.5, 0.1, 0.0], [1.0, 1.0, 1.0, 1.0], chosen=0)
    assert reach_verdict(result, trivial).code == "noise-limited"


def test_a_largest_model_whose_validation_loss_turned_does_not_lack_capacity():
    evidence = collect_evidence(*CASES["underfitting"])
    assert judge(evidence).code == "underfitting"
    assert judge(replace(evidence, rise=0.24, early=0.5)).code == "good-fit"
    assert judge(replace(evidence, rise=0.24, early=1.0)).code == "underfitting"


def test_what_another_kind_of_model_may_still_find_is_not_called_noise():
    evidence = collect_evidence(*CASES["noise-limited"])
    for behind, code in ((0.11, "good-fit"), (0.05, "noise-limited")):
        trees = Rival("boosted-trees", evidence.validation - behind, behind, behind / 2.3, False)
        assert judge(replace(evidence, rivals=(*evidence.rivals, trees))).code == code


def test_capacity_points_keep_the_best_configuration_of_each_size():
    result, _ = CASES["good-fit"]
    points = capacity_points(result)
    assert [p["parameters"] for p in points] == [10, 100, 1000, 5000]
    assert points[2]["validation"] == pytest.approx(0.36)
