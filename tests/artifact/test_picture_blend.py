"""A blend of picture nets: the weighted mean of its members, the same from disk, and no forged shares."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from soundfit.artifact.picture_predictor import build_picture_predictor
from soundfit.artifact.store import load_predictor, save_predictor
from soundfit.data.target import TargetScale
from soundfit.errors import UsageError
from soundfit.models.conv import build_picture_net
from soundfit.records import Config
from soundfit.study.temperature import with_temperature

SHAPE = (12, 12, 1)
SMALL = Config(model="cnn", width=3, depth=2)
DEEP = Config(model="resnet", width=3, depth=1)
FLAT = Config(model="linear", width=0, depth=0)
MEMBERS, WEIGHTS = [SMALL, SMALL, DEEP, FLAT], [0.2, 0.2, 0.5, 0.1]
PIXELS = np.random.default_rng(0).integers(0, 255, (9, *SHAPE), dtype=np.uint8)


def _states(n_outputs):
    states = []
    for seed, config in enumerate(MEMBERS):
        torch.manual_seed(seed)
        net = build_picture_net(config, SHAPE, n_outputs)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        states.append(net.state_dict())
    return states


def _blend(task="classification"):
    classes = ["a", "b", "c"] if task == "classification" else []
    scales = [TargetScale("identity", 5.0, 2.0 + i, -1e9, 1e9) for i in range(4)] if not classes else []
    states = _states(max(len(classes), 1))
    given = {"shape": SHAPE, "scales": scales, "task": task, "target": "y", "classes": classes}
    temperature = 1.5 if classes else 1.0
    predictor = build_picture_predictor(
        SMALL, states, **given, temperature=temperature, configs=MEMBERS, weights=WEIGHTS
    )
    alone = [
        build_picture_predictor(c, [s], **{**given, "scales": scales[:1]}, temperature=1.0)
        for c, s in zip(MEMBERS, states, strict=True)
    ]
    return predictor, [one.outputs(PIXELS) for one in alone]


def test_probabilities_are_the_weighted_mean_of_the_members():
    predictor, alone = _blend()
    expected = sum(w * with_temperature(p, 1.5) for w, p in zip(WEIGHTS, alone, strict=True))
    np.testing.assert_allclose(predictor.outputs(PIXELS), expected, rtol=1e-6)
    np.testing.assert_allclose(predictor.outputs(PIXELS).sum(1), 1.0)


def test_values_are_the_weighted_mean_of_the_members():
    predictor, alone = _blend("regression")
    expected = sum(w * p for w, p in zip(WEIGHTS, alone, strict=True))
    np.testing.assert_allclose(predictor.outputs(PIXELS), expected, rtol=1e-6)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_blend_is_the_same_from_disk(task, tmp_path):
    predictor, _ = _blend(task)
    save_predictor(predictor, tmp_path / "model")
    loaded = load_predictor(tmp_path)
    assert [c.model for c in loaded.configs] == ["cnn", "cnn", "resnet", "linear"]
    np.testing.assert_array_equal(loaded.outputs(PIXELS), predictor.outputs(PIXELS))


def test_models_without_shares_are_read_as_before(tmp_path):
    torch.manual_seed(0)
    states = [build_picture_net(SMALL, SHAPE, 2).state_dict() for _ in range(2)]
    predictor = build_picture_predictor(
        SMALL, states, shape=SHAPE, scales=[], task="classification", target="y", classes=["a", "b"]
    )
    save_predictor(predictor, tmp_path / "model")
    described = json.loads((tmp_path / "model" / "model.json").read_text())
    assert "weights" not in described
    assert load_predictor(tmp_path).shares == (0.5, 0.5)


@pytest.mark.parametrize(
    "forged",
    [
        {"weights": [0.5, 0.5]},
        {"weights": [2.0, -1.0, 0.5, -0.5]},
        {"weights": "much"},
        {"config_of": [0, 1, 2, 9]},
        {"config_of": [0, 0, 0, 0]},
        {"configs": [{"model": "cnn", "width": 10**9}] * 4},
        {"configs": []},
    ],
)
def test_forged_shares_are_refused(forged, tmp_path):
    save_predictor(_blend()[0], tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **forged}))
    with pytest.raises(UsageError, match="whole and fits together"):
        load_predictor(tmp_path)
