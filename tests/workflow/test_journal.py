"""The journal: stages, progress and result as records and as lines of JSON; progress in a notebook's cell."""

from __future__ import annotations

import json
import logging
import sys
import types

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.errors import UsageError
from soundfit.workflow.journal import JsonLine, log_lines, note


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": x @ [1.0, -1.0, 0.5]})


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_training_is_told_in_lines_of_json(frame, tmp_path):
    path = tmp_path / "log.jsonl"
    with log_lines(str(path)):
        run = sf.train(frame, target="y", model="linear", folds=2)
    told = lines(path)
    events = [line["event"] for line in told]
    assert events[0] == "started"
    assert told[0]["target"] == "y"
    assert [line["name"] for line in told if line["event"] == "stage"][:2] == [
        "reading and auditing the data",
        "fitting preprocessing on training rows",
    ]
    assert events[-1] == "finished"
    assert told[-1]["verdict"] == run.verdict.code
    assert told[-1]["exam"]["value"] == run.exam["value"]
    assert all({"time", "level", "event"} <= set(line) for line in told)
    assert not logging.getLogger("soundfit").handlers


def test_lines_are_appended_and_a_failure_is_one_of_them(frame, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "before"}\n', encoding="utf-8")
    with log_lines(str(path)), pytest.raises(UsageError):
        sf.train(frame, target="nowhere", folds=2)
    events = [line["event"] for line in lines(path)]
    assert events[:2] == ["before", "started"]
    assert events[-1] == "failed"
    assert "nowhere" in lines(path)[-1]["error"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UsageError, match="--log-lines"), log_lines(str(tmp_path / "no" / "log.jsonl")):
        pass


def test_lines_are_written_where_another_configuration_disabled_the_logger(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("soundfit"), "disabled", True)
    with log_lines(str(tmp_path / "log.jsonl")):
        note("stage", name="training")
    assert [line["name"] for line in lines(tmp_path / "log.jsonl")] == ["training"]
    assert logging.getLogger("soundfit").disabled


def test_records_of_others_become_lines_too(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("soundfit"), "disabled", False)
    with caplog.at_level(logging.INFO, logger="soundfit"):
        note("stage", name="training")
        logging.getLogger("soundfit").warning("plain %d", 3)
    told = [json.loads(JsonLine().format(record)) for record in caplog.records]
    assert told[0]["event"] == "stage"
    assert told[0]["name"] == "training"
    assert told[1]["message"] == "plain 3"


def test_without_a_listener_nothing_is_noted(frame, caplog):
    sf.train(frame, target="y", model="linear", folds=2)
    assert not [r for r in caplog.records if r.name == "soundfit"]


def test_a_notebook_shows_stages_and_a_bar(frame, monkeypatch):
    shown = []

    class ZMQInteractiveShell:
        pass

    class Handle:
        def update(self, value):
            shown.append(value)

    notebook = types.ModuleType("IPython")
    notebook.get_ipython = ZMQInteractiveShell
    display = types.ModuleType("IPython.display")
    display.HTML, display.display = str, lambda value, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    sf.train(frame, target="y", model="linear", folds=2)
    assert any("<progress" in text for text in shown)
    assert "✓ training" in shown[-1]
    assert "<progress" not in shown[-1]
    before = len(shown)
    sf.train(frame, target="y", model="linear", folds=2, progress=lambda n: None)
    assert len(shown) == before
