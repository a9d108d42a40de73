"""ONNX Runtime predicts what soundfit predicts, from the same raw columns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import nn

from soundfit.artifact.onnx import onnx_model, save_onnx
from soundfit.errors import UsageError
from soundfit.models.net import Linear, Reads

TOLERANCE = 1e-4


def _session(predictor):
    content = onnx_model(predictor).SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def _feed(session, frame):
    """As docs/export.md says: numbers as they are, all else as text with "" for missing."""
    fed = {}
    for column in session.get_inputs():
        values = frame[column.name]
        if column.type == "tensor(double)":
            fed[column.name] = values.to_numpy(np.float64)
        else:
            fed[column.name] = values.astype(object).where(values.notna(), "").astype(str).to_numpy(object)
    return fed


def _assert_equal(session, predictor, frame):
    expected = predictor.predict(frame)
    names = [output.name for output in session.get_outputs()]
    got = dict(zip(names, session.run(None, _feed(session, frame)), strict=True))
    if predictor.task == "classification":
        probabilities = expected.filter(like="probability_").to_numpy()
        np.testing.assert_allclose(got["probabilities"], probabilities, atol=TOLERANCE)
        first_two = np.sort(probabilities, axis=1)[:, -2:]
        sure = first_two[:, 1] - first_two[:, 0] > 2 * TOLERANCE
        assert (got["prediction"][sure] == expected["prediction"].to_numpy()[sure]).all()
        return
    assert names == list(expected.columns)
    for name in names:
        # Of the prediction, and of its unit where it is near 0.
        np.testing.assert_allclose(got[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE)


TABLES = ["every kind", "ames", "hitters", "concrete", "bikeshare", "penguins", "credit_data"]


@pytest.mark.parametrize("kind", ["linear", "mlp", "waves", "resmlp", "infinite", "blend"])
@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_every_development_table(predictors, name, kind):
    predictor, frame = predictors(name, kind)
    session = _session(predictor)
    _assert_equal(session, predictor, frame)
    _assert_equal(session, predictor, frame.iloc[:1])
    if name != "every kind":  # text of no rows can't be split into the parts of a date
        assert len(session.run(None, _feed(session, frame.iloc[:0]))[0]) == 0


# ---- rows that nobody has seen ---------------------------------------------------------------------------

NUMBERS = st.floats() | st.integers(-5, 5).map(float)
WORDS = st.text(max_size=6).filter(lambda text: text.strip() == text and "\x00" not in text)
DAYS = st.sampled_from(
    [
        *("2021-03-05", "1931-01-01", "2024-02-29", "2023-02-29", "2021-03-05T23:59", "2021-13-01"),
        *("2020-12-31 07:08:09.5", "2021-03-05T10:20:30Z", "9999-12-31", "0000-01-01", "05.03.2021"),
        *("", "NA", "soon"),
    ]
)
TIMES = st.sampled_from(
    ["05.03.2021 10:20", "5.3.2021 9:05", "29.02.2023 00:00", "31.12.1999 23:59", "2021-03-05 10:20", ""]
)
ROW = st.fixed_dictionaries(
    {
        "size m²": NUMBERS,
        "rooms": NUMBERS,
        "district": st.sampled_from(["south", "東", "", " south", "south ", "None", None, "nan"]) | WORDS,
        "pair": st.sampled_from(["left", "right", "", "up", None]),
        "street": st.sampled_from(["s1", "s2", "s89", "s999", ""]) | WORDS,
        "garden": st.sampled_from(["yes", "No", "TRUE", "f", "1", "0", "?", "perhaps", None, " yes"]),
        "sold": DAYS | st.dates().map(str),
        "listed": TIMES
        | st.datetimes(pd.Timestamp("1900-01-01").to_pydatetime()).map(
            lambda moment: moment.strftime("%d.%m.%Y %H:%M")
        ),
    }
)


@pytest.fixture(scope="module")
def sessions(predictors):
    made = {kind: predictors("every kind", kind) for kind in ("linear", "waves", "resmlp")}
    # A function: Hypothesis would print a dictionary with all its weights and rows.
    sessions = {kind: (_session(p), p, frame) for kind, (p, frame) in made.items()}
    return lambda kind: sessions[kind]


# No shrinking: it takes minutes, and the first failing rows say enough.
@settings(max_examples=50, deadline=None, derandomize=True, phases=[Phase.generate])
@given(rows=st.lists(ROW, min_size=1, max_size=8), kind=st.sampled_from(["linear", "waves", "resmlp"]))
def test_unseen_missing_and_extreme_values(sessions, rows, kind):
    session, predictor, frame = sessions(kind)
    # One whole row beside them: a column in which nothing at all can be read is refused, not predicted.
    whole = frame.dropna().head(1).drop(columns="price")
    _assert_equal(session, predictor, pd.concat([whole, pd.DataFrame(rows)], ignore_index=True))


def test_each_date_format_that_soundfit_knows(predictors):
    from soundfit.artifact.onnx.columns import Columns
    from soundfit.artifact.onnx.graph import DOUBLE, Graph
    from soundfit.data.encoder import _raw_matrix
    from soundfit.data.layout import Block, Layout
    from soundfit.data.values import _DAYS, _TIMES

    rng = np.random.default_rng(0)
    moments = pd.Timestamp("1970-01-01") + pd.to_timedelta(rng.integers(-3e7, 1.9e9, 50), unit="s")
    parts = ("year", "month", "weekday", "hour", "days")
    for pattern in ["ISO8601", *(day + time for day in _DAYS for time in _TIMES)]:
        layout = Layout((Block("when", "date", missing=True, parts=parts, format=pattern),))
        texts = pd.Series(moments.strftime("%Y-%m-%dT%H:%M:%S" if pattern == "ISO8601" else pattern))
        texts[::7] = "no date"
        graph = Graph()
        raw = Columns(graph).features(layout)
        graph.output("raw", raw.continuous, DOUBLE, ["rows", 8])
        model = graph.model(name="t", doc="", metadata={}, version="0")
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        got = session.run(["raw"], {"when": texts.to_numpy(object)})[0]
        expected = _raw_matrix(layout, pd.DataFrame({"when": texts}))[:, :-1]
        assert np.isfinite(expected[1])[0], pattern
        np.testing.assert_allclose(got, expected, atol=1e-9, err_msg=pattern)


# ---- the file --------------------------------------------------------------------------------------------


def test_the_file_says_what_it_takes_and_gives(predictors, tmp_path):
    predictor, frame = predictors("every kind", "mlp")
    save_onnx(predictor, tmp_path / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    told = json.loads({p.key: p.value for p in model.metadata_props}["soundfit"])
    assert told["target"] == "price"
    assert told["interval"] == 0.9
    assert [c["name"] for c in told["columns"]] == [i.name for i in model.graph.input]
    assert [i.name for i in model.graph.input] == list(frame.columns[:-1])
    assert model.producer_name == "soundfit"


def test_without_dates_older_runtimes_can_read_it(predictors):
    model = onnx_model(predictors("ames", "mlp")[0])
    assert {o.domain: o.version for o in model.opset_import} == {"": 17, "ai.onnx.ml": 2}
    assert model.ir_version == 8


def test_a_column_may_be_called_like_an_output(predictors):
    from soundfit.data.layout import Layout

    predictor, frame = predictors("concrete", "linear")
    renamed = {"cement": "prediction", "water": "low"}
    encoders = tuple(
        replace(
            e,
            layout=Layout(tuple(replace(b, column=renamed.get(b.column, b.column)) for b in e.layout.blocks)),
        )
        for e in predictor.encoders
    )
    session = _session(replace(predictor, encoders=encoders))
    assert [o.name for o in session.get_outputs()] == ["prediction_", "low_", "high"]
    got = session.run(None, _feed(session, frame.rename(columns=renamed)))[0]
    np.testing.assert_allclose(got, predictor.outputs(frame), rtol=TOLERANCE)


@pytest.mark.parametrize("labels", [(False, True), (0, 1), (0.5, 1.5), ("no", "yes"), (0, "yes")])
def test_labels_keep_their_type(predictors, labels):
    predictor, frame = predictors("credit_data", "linear")
    session = _session(replace(predictor, classes=labels))
    got = session.run(["prediction"], _feed(session, frame.head(50)))[0]
    expected = [labels[int(i)] for i in predictor.outputs(frame.head(50)).argmax(axis=1)]
    mixed = len({type(label) for label in labels}) > 1
    assert got.tolist() == [str(label) for label in expected] if mixed else expected


def test_nets_that_read_some_of_the_inputs(predictors):
    """What a run holds whose prescription of fewer features was kept."""
    predictor, frame = predictors("concrete", "linear")
    fewer = [Reads([3, 0, 1], Linear(3, 1)) for _ in predictor.modules]
    for module in fewer:
        nn.init.normal_(next(module.parameters()))
    reads = replace(predictor, modules=tuple(fewer))
    _assert_equal(_session(reads), reads, frame.iloc[:50])


def test_a_layer_without_a_form_is_refused_in_words(predictors):
    predictor, _ = predictors("concrete", "linear")
    strange = replace(predictor, modules=(nn.Bilinear(2, 2, 1), *predictor.modules[1:]))
    with pytest.raises(UsageError, match="a layer of type Bilinear"):
        onnx_model(strange)
