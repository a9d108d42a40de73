"""Models on sequences as ONNX: the runtime's predictions are ours, for any length and with values missing."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

import soundfit as sf
from soundfit.artifact.export import export_run
from soundfit.artifact.onnx import sequence_model
from soundfit.artifact.sequence_predictor import build_sequence_predictor
from soundfit.data.sequence_layout import Layout
from soundfit.data.target import TargetScale
from soundfit.errors import UsageError
from soundfit.models.sequence import build_sequence_net
from soundfit.records import Config
from soundfit.study.prediction_interval import PredictionInterval

STEPS, CHANNELS = 7, 3


def sequences(n=20, steps=STEPS, seed=0):
    """Rows (n, steps, F + 1) of several lengths, aligned at their ends, with values missing and far out."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, steps, CHANNELS + 1)).astype(np.float32)
    x[..., :-1][rng.random((n, steps, CHANNELS)) < 0.15] = np.nan
    x[0, -1, 0] = 1e6
    lengths = rng.integers(1, steps + 1, n)
    there = np.arange(steps) >= steps - lengths[:, None]
    x[..., -1] = there
    x[~there, :-1] = np.nan if seed % 2 else 0.0
    return x


def predictor_of(layout, config, *, classes=(), members=2):
    torch.manual_seed(0)
    shape = config.with_(center=[0.1, -0.2, 0.3], spread=[1.5, 0.5, 2.0], missing=[1])
    n_outputs = len(classes) or 1
    states = []
    for _ in range(members):
        module = build_sequence_net(shape, STEPS, n_outputs)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        module.train()(torch.from_numpy(sequences(seed=2)))
        states.append(module.state_dict())
    scales = () if classes else [TargetScale("log", 0.0, 1.0, -3.0, 3.0)] * members
    interval = (
        None if classes else PredictionInterval(0.9, np.array([0.0]), np.array([-0.5]), np.array([0.7]))
    )
    return build_sequence_predictor(
        shape,
        states,
        layout=layout,
        n_steps=STEPS,
        missing=[1],
        scales=scales,
        task="classification" if classes else "regression",
        target="y",
        classes=classes,
        interval=interval,
        temperature=1.3 if classes else 1.0,
    )


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """The layout that reading an npz gives."""
    from soundfit.data.sequence_source import read_sequences
    from soundfit.data.sequences import as_sequences

    path = tmp_path_factory.mktemp("npz") / "x.npz"
    rng = np.random.default_rng(0)
    np.savez(path, X=rng.normal(size=(40, STEPS, CHANNELS)), y=rng.normal(size=40))
    found = read_sequences(path, target="")
    made = as_sequences(found, task="auto").layout
    assert isinstance(made, Layout)
    return made


def run_onnx(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, {"steps": x}), strict=True))


NETS = [
    *(Config(model=kind, width=6, depth=1) for kind in ("lstm", "gru", "rnn")),
    Config(model="lstm", width=5, depth=2, dropout=0.3, options={"readout": "mean"}),
    Config(model="gru", width=5, depth=2),
    Config(model="linear", width=0, depth=0, options={"reads": "summary"}),
    Config(model="mlp", width=8, depth=2, options={"reads": "steps"}),
    Config(model="mlp", width=8, depth=1, options={"reads": "summary"}),
]


@pytest.mark.parametrize("config", NETS, ids=lambda c: f"{c.model}-{c.depth}-{dict(c.options)}")
def test_the_runtime_predicts_what_we_predict(layout, config):
    values = predictor_of(layout, config)
    classes = predictor_of(layout, config, classes=("a", "b", "c"))
    for x in (sequences(), sequences(seed=1), sequences(n=1)):
        told = run_onnx(sequence_model(values), x)
        np.testing.assert_allclose(told["prediction"], values.outputs(x), rtol=2e-4)
        low, high = values.bounds(x)
        np.testing.assert_allclose(told["low"], low, rtol=2e-4)
        np.testing.assert_allclose(told["high"], high, rtol=2e-4)
        told = run_onnx(sequence_model(classes), x)
        expected = classes.outputs(x)
        np.testing.assert_allclose(told["probabilities"], expected, atol=2e-5)
        assert told["prediction"].tolist() == ["abc"[i] for i in expected.argmax(axis=1)]


def test_recurrent_nets_take_any_number_of_steps_and_padding_changes_nothing(layout):
    values = predictor_of(layout, NETS[0])
    model = sequence_model(values)
    x = sequences(steps=13)
    padded = np.concatenate([np.zeros((len(x), 4, CHANNELS + 1), np.float32), x], axis=1)
    told = run_onnx(model, x)["prediction"]
    np.testing.assert_allclose(told, values.outputs(x), rtol=2e-4)
    np.testing.assert_allclose(run_onnx(model, padded)["prediction"], told, rtol=1e-5)


def test_both_directions_are_refused_in_words(layout):
    net = predictor_of(layout, Config(model="lstm", width=4, depth=1, options={"both": True}))
    with pytest.raises(UsageError, match=r"recurrent nets in one direction.*Fix: train without"):
        sequence_model(net)


def test_a_run_on_sequences_is_exported(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5, 2)).astype(np.float32)
    np.savez(tmp_path / "t.npz", X=x, y=np.where(x[:, -1, 0] > 0, "up", "down"))
    sf.train(tmp_path / "t.npz", model="linear", folds=2, out=tmp_path / "run")
    path = export_run(tmp_path / "run", "onnx")
    import onnx

    model = onnx.load(path)
    told = json.loads({p.key: p.value for p in model.metadata_props}["soundfit"])
    assert told["classes"] == ["down", "up"]
    rows = np.concatenate([x, np.ones((60, 5, 1), np.float32)], axis=2)
    predicted = run_onnx(model, rows)["prediction"]
    assert predicted.tolist() == sf.load(tmp_path / "run").predict(tmp_path / "t.npz")["prediction"].tolist()
    with pytest.raises(UsageError, match="in the format onnx on sequences"):
        export_run(tmp_path / "run", "torch")
