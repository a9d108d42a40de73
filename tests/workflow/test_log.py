"""--log-to: what trackers are told equals what the run holds, and a missing tracker is named before work."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.errors import UsageError


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] + 0.1 * rng.normal(size=80)})


@pytest.fixture(scope="module")
def logged(frame, tmp_path_factory):
    pytest.importorskip("tensorboard")
    out = tmp_path_factory.mktemp("log") / "run"
    return sf.train(frame, target="y", model="linear", folds=3, out=out, log_to="tensorboard")


def _chosen(run):
    return [m for m in run.result.members if m.member.configuration == run.result.chosen]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_back_the_losses_the_parameters_and_the_scores(logged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = logged.path / "tensorboard"
    members = _chosen(logged)
    assert len(members) == 3
    for member in members:
        events = EventAccumulator(str(folder / f"fold-{member.member.fold}")).Reload()
        for name in ("training_loss", "validation_loss"):
            read = events.Scalars(name)
            kept = np.isfinite(member.trace.series[name])
            np.testing.assert_array_equal([e.step for e in read], member.trace.at[kept])
            np.testing.assert_allclose([e.value for e in read], member.trace.series[name][kept], rtol=1e-6)
    whole = EventAccumulator(str(folder)).Reload()
    exam = logged.exam
    assert whole.Scalars(f"exam/{exam['metric']}")[0].value == pytest.approx(exam["value"], rel=1e-6)
    start = whole.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"learning_rate" in start
    assert any(str(folder) in remark for remark in logged.remarks)


def test_a_tracker_that_fails_leaves_the_run_and_a_remark(logged, monkeypatch):
    def broken(*_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("soundfit.workflow.run.write_log", broken)
    assert "no route to host" in logged.log("mlflow").remarks[-1]
    assert (logged.path / "run.json").is_file()


class _Client:
    """MLflow's client as far as soundfit calls it, with the server's bounds."""

    made: ClassVar[list[_Client]] = []

    def __init__(self, tracking_uri):
        self.uri, self.batches, self.experiments, self.status = tracking_uri, [], {}, None
        self.made.append(self)

    def get_experiment_by_name(self, name):
        return self.experiments.get(name)

    def create_experiment(self, name, artifact_location=None):
        self.experiments[name] = SimpleNamespace(experiment_id="7")
        return "7"

    def create_run(self, experiment_id, run_name):
        assert experiment_id == "7"
        self.name = run_name
        return SimpleNamespace(info=SimpleNamespace(run_id="r"))

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        assert len(metrics) <= 1000
        assert len(params) <= 100
        self.batches.append((metrics, params, tags))

    def set_terminated(self, run_id, status):
        self.status = status


@pytest.mark.parametrize("uri", ["", "http://tracker.example:5000"])
def test_mlflow_is_told_every_loss_once_in_batches(logged, monkeypatch, uri):
    def entity(*fields):
        return lambda *values: SimpleNamespace(**dict(zip(fields, values, strict=True)))

    entities, tracking = ModuleType("mlflow.entities"), ModuleType("mlflow.tracking")
    entities.Metric = entity("key", "value", "timestamp", "step")
    entities.Param, entities.RunTag = entity("key", "value"), entity("key", "value")
    tracking.MlflowClient = _Client
    for module in (ModuleType("mlflow"), entities, tracking):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    logged.log("mlflow")
    client = _Client.made[-1]
    own = f"sqlite:///{(logged.path / 'mlflow' / 'mlflow.db').absolute()}"
    assert client.uri == (uri or own)
    assert client.status == "FINISHED"
    metrics = [m for batch in client.batches for m in batch[0]]
    losses = sorted((m.key, m.step, m.value) for m in metrics if "_loss/" in m.key)
    assert losses == sorted(
        (f"{name}/fold-{m.member.fold}", int(epoch), float(value))
        for m in _chosen(logged)
        for name in ("training_loss", "validation_loss")
        for epoch, value in zip(m.trace.at, m.trace.series[name], strict=True)
        if np.isfinite(value)
    )
    parameters = {p.key: p.value for batch in client.batches for p in batch[1]}
    assert parameters["model"] == "linear"
    assert parameters["target"] == "y"


@pytest.mark.filterwarnings("ignore")
def test_real_mlflow_keeps_the_run(logged, monkeypatch):
    pytest.importorskip("mlflow")
    pytest.importorskip("alembic")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    logged.log("mlflow")
    client = MlflowClient(tracking_uri=f"sqlite:///{logged.path / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("soundfit").experiment_id])
    assert run.data.params["model"] == "linear"
    member = _chosen(logged)[0]
    history = client.get_metric_history(run.info.run_id, f"training_loss/fold-{member.member.fold}")
    assert len(history) == np.isfinite(member.trace.series["training_loss"]).sum()


def test_a_missing_tracker_is_named_with_the_line_that_installs_it(frame, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageError, match=r"pip install 'soundfit\[mlflow\]'"):
        sf.train(frame, target="y", out=tmp_path / "run", log_to="mlflow")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="tensorboard or mlflow"):
        sf.train(frame, target="y", out=tmp_path / "run", log_to="wandb")
    monkeypatch.setattr("soundfit.workflow.train.check_tracker", lambda name: None)
    with pytest.raises(UsageError, match="run folder"):
        sf.train(frame, target="y", log_to="tensorboard")
