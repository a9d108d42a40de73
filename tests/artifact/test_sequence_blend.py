"""A blend of nets on sequences: the weighted mean of its members, the same from disk and in ONNX."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import torch

from soundfit.artifact.onnx import sequence_model
from soundfit.artifact.sequence_predictor import build_sequence_predictor
from soundfit.artifact.store import load_predictor, save_predictor
from soundfit.data.sequence_layout import Layout
from soundfit.data.target import TargetScale
from soundfit.errors import UsageError
from soundfit.models.sequence import build_sequence_net
from soundfit.records import Config
from soundfit.study.temperature import with_temperature

STEPS = 6
LAYOUT = Layout("arrays", ("a", "b"))
LSTM = Config(model="lstm", width=4, depth=1)
GRU = Config(model="gru", width=3, depth=1)
FLAT = Config(model="mlp", width=5, depth=1, options={"reads": "steps"})
SHORT = Config(model="linear", width=0, depth=0, options={"reads": "summary"})
MEMBERS, WEIGHTS = [LSTM, LSTM, FLAT, SHORT], [0.1, 0.2, 0.4, 0.3]
SHAPE = {"center": [0.0, 0.0], "spread": [1.0, 1.0], "missing": [1]}


def _steps(length, n=11):
    rng = np.random.default_rng(length)
    x = rng.normal(size=(n, length, 3)).astype(np.float32)
    x[..., :-1][rng.random((n, length, 2)) < 0.1] = np.nan
    there = np.arange(length) >= length - rng.integers(1, length + 1, n)[:, None]
    x[..., -1] = there
    x[~there, :-1] = 0.0
    return x


def _blend(task="classification", members=MEMBERS, weights=WEIGHTS):
    classes = ("a", "b", "c") if task == "classification" else ()
    scales = [TargetScale("identity", 0.0, 1.0, -1e9, 1e9)] * len(members) if not classes else []
    states = []
    for seed, config in enumerate(members):
        torch.manual_seed(seed)
        net = build_sequence_net(config.with_(**SHAPE), STEPS, len(classes) or 1)
        for parameter in net.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        net.train()(torch.from_numpy(_steps(STEPS)))
        states.append(net.state_dict())
    given = {
        "layout": LAYOUT,
        "n_steps": STEPS,
        "missing": [1],
        "task": task,
        "target": "y",
        "classes": classes,
    }
    predictor = build_sequence_predictor(
        members[0],
        states,
        **given,
        scales=scales,
        temperature=1.5 if classes else 1.0,
        configs=members,
        weights=weights,
    )
    alone = [
        build_sequence_predictor(c, [s], **given, scales=scales[:1])
        for c, s in zip(members, states, strict=True)
    ]
    return predictor, alone


@pytest.mark.parametrize("length", [3, STEPS, 10])
def test_probabilities_are_the_weighted_mean_of_the_members(length):
    """Each member reads what it reads alone: a recurrent net all steps, others the last ones."""
    predictor, alone = _blend()
    x = _steps(length)
    mine = [with_temperature(one.outputs(x), 1.5) for one in alone]
    expected = sum(w * p for w, p in zip(WEIGHTS, mine, strict=True))
    np.testing.assert_allclose(predictor.outputs(x), expected, rtol=1e-6)
    np.testing.assert_allclose(predictor.outputs(x).sum(1), 1.0)


@pytest.mark.parametrize("length", [3, 10])
def test_values_are_the_weighted_mean_of_the_members(length):
    predictor, alone = _blend("regression")
    x = _steps(length)
    expected = sum(w * one.outputs(x) for w, one in zip(WEIGHTS, alone, strict=True))
    np.testing.assert_allclose(predictor.outputs(x), expected, rtol=1e-6)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_blend_is_the_same_from_disk(task, tmp_path):
    predictor, _ = _blend(task)
    save_predictor(predictor, tmp_path / "model")
    loaded = load_predictor(tmp_path)
    assert [c.model for c in loaded.configs] == ["lstm", "lstm", "mlp", "linear"]
    np.testing.assert_array_equal(loaded.outputs(_steps(9)), predictor.outputs(_steps(9)))


@pytest.mark.parametrize(
    ("members", "length"), [(MEMBERS, STEPS), ([LSTM, GRU], STEPS), ([LSTM, GRU], 10)], ids=str
)
def test_the_runtime_predicts_what_a_blend_predicts(members, length):
    predictor, _ = _blend("regression", members, [0.4, 0.6] if len(members) == 2 else WEIGHTS)
    assert predictor.any_length == (len(members) == 2)
    model = sequence_model(predictor)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = _steps(length)
    told = session.run(["prediction"], {"steps": x})[0]
    np.testing.assert_allclose(told, predictor.outputs(x), rtol=2e-4, atol=1e-5)
    names = "gru and lstm" if len(members) == 2 else "linear and lstm and mlp"
    assert f"ensemble of {len(members)} {names} models" in model.doc_string


def test_models_without_shares_are_read_as_before(tmp_path):
    states = [build_sequence_net(LSTM.with_(**SHAPE), STEPS, 2).state_dict() for _ in range(2)]
    predictor = build_sequence_predictor(
        LSTM,
        states,
        layout=LAYOUT,
        n_steps=STEPS,
        missing=[1],
        scales=[],
        task="classification",
        target="y",
        classes=["a", "b"],
    )
    save_predictor(predictor, tmp_path / "model")
    assert "weights" not in json.loads((tmp_path / "model" / "model.json").read_text())
    assert load_predictor(tmp_path).shares == (0.5, 0.5)


@pytest.mark.parametrize(
    "forged",
    [
        {"weights": [0.5, 0.5]},
        {"weights": [2.0, -1.0, 0.5, -0.5]},
        {"config_of": [0, 1, 2, 9]},
        {"config_of": [0, 0, 0, 0]},
        {"configs": [{"model": "cnn", "width": 4}] * 4},
        {"configs": [{"model": "lstm", "width": 10**9}] * 4},
        {"configs": []},
    ],
)
def test_forged_shares_are_refused(forged, tmp_path):
    save_predictor(_blend()[0], tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **forged}))
    with pytest.raises(UsageError, match="whole and fits together"):
        load_predictor(tmp_path)
