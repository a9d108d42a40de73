"""Cells and arguments of wrong types: an answer, or an error that teaches; never another exception."""

from __future__ import annotations

import copy
import datetime
import decimal
import fractions
import json
import shutil
import uuid

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.errors import SoundfitError
from soundfit.report.html import write_report
from soundfit.serve import make_app


def _frame(n=40):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(50, 9, n).round(1),
            "kind": rng.choice(["flat", "house"], n),
            "garden": rng.choice(["yes", "no"], n),
            "built": pd.date_range("2001-01-31", periods=n, freq="D").strftime("%Y-%m-%d"),
        }
    )
    return frame.assign(price=3 * frame["size"] + rng.normal(0, 5, n))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("types") / "run"
    return sf.train(_frame(), target="price", model="linear", folds=2, out=path)


CELLS = {
    "list": [1, 2],
    "dict": {"a": 1},
    "set": {1},
    "tuple": (1, "a"),
    "array": np.arange(3),
    "bytes": b"\xff\x00",
    "complex": 3 + 4j,
    "decimal": decimal.Decimal("1e999"),
    "fraction": fractions.Fraction(1, 3),
    "long": 10**400,
    "date": datetime.date(1, 1, 1),
    "time": datetime.time(12, 30),
    "moment": datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC),
    "span": datetime.timedelta(days=-1),
    "NA": pd.NA,
    "NaT": pd.NaT,
    "infinite": float("-inf"),
    "object": object(),
    "function": len,
    "class": int,
    "uuid": uuid.UUID(int=0),
    "exception": ValueError("x"),
    "frame": pd.DataFrame({"a": [1]}),
    "surrogate": "\ud800",
    "zero": "\x00",
}
COLUMNS = ("size", "kind", "garden", "built")


def _either(work):
    """Return (what work returns, None), or (None, its error in words); any other exception is a bug."""
    try:
        return work(), None
    except SoundfitError as error:
        return None, error


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_of_any_type_is_predicted_or_refused_in_words(run, name):
    for column in COLUMNS:
        for everywhere in (False, True):
            frame = _frame(6).drop(columns="price").astype({column: object})
            values = np.empty(6, dtype=object)
            values[:] = frame[column]
            for i in range(6) if everywhere else (3,):
                values[i] = CELLS[name]
            frame[column] = pd.Series(values, dtype=object)
            predicted, refusal = _either(lambda frame=frame: run.predict(frame))
            if refusal is None:
                assert predicted["prediction"].notna().all()
            else:
                assert repr(column) in refusal.paragraph()
                assert refusal.fix


@pytest.mark.parametrize(
    "dtype", ["category", "string", "complex128", "datetime64[ns]", "timedelta64[ns]", "bool"]
)
def test_columns_of_any_dtype_are_predicted_or_refused_in_words(run, dtype):
    for column in COLUMNS:
        frame = _frame(6).drop(columns="price")
        frame[column] = pd.Series(np.arange(6)).astype(dtype)
        predicted, refusal = _either(lambda frame=frame: run.predict(frame))
        if refusal is None:
            assert len(predicted) == 6
        else:
            assert repr(column) in refusal.paragraph()


GIVEN = {
    "a list": [1, 2],
    "nothing": None,
    "a number": 3,
    "a set": {1},
    "no rows, no columns": pd.DataFrame(),
    "an array": np.zeros((2, 2)),
    "a series": pd.Series([1.0]),
    "names that are numbers": pd.DataFrame({0: [1], 1: [2]}),
    "names twice": pd.DataFrame([[1, 2]], columns=["size", "size"]),
    "names of two levels": pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_no_table_is_refused_in_words(run, name):
    if name != "no rows, no columns":  # to no rows belong no predictions
        with pytest.raises(SoundfitError) as refused:
            run.predict(GIVEN[name])
        assert refused.value.fix
    with pytest.raises(SoundfitError):
        sf.train(GIVEN[name], target="price")


OPTIONS = {
    "target": [None, 3, "", "nowhere", ["price"]],
    "folds": [0, 1, -3, 10**9, "five", 2.5, None, [2]],
    "test": [-0.1, 1.0, 7, "nofile.csv", "half", None],
    "model": ["forest", 3, None],
    "task": ["guess", 3],
    "seed": ["x", 1.5, -1, None],
    "budget": ["soon", -1, 0],
    "group": ["nowhere", 3],
    "time": ["nowhere", 3],
    "gap": ["x", -1],
    "drop": ["nowhere", 3],
    "device": ["tpu", 3],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_wrong_types_are_refused_in_words(option):
    for value in OPTIONS[option]:
        with pytest.raises((SoundfitError, TypeError), match=r".") as refused:
            sf.train(_frame(), **{"target": "price", "model": "linear", option: value})
        if isinstance(refused.value, SoundfitError):
            assert refused.value.fix
        else:  # Python's own, of a call that names no such option or kind of value
            assert option in str(refused.value)


JUNK = [
    None,
    True,
    -1,
    10**9,
    1e308,
    "",
    "x",
    "\ud800",
    "<script>",
    "{x}",
    "%s",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
]


def _paths(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


def test_a_forged_record_is_shown_or_refused_in_words(run, tmp_path):
    rng = np.random.default_rng(0)
    forged = tmp_path / "run"
    shutil.copytree(run.path, forged)
    whole = json.loads((forged / "run.json").read_text())
    for _ in range(40):
        record = copy.deepcopy(whole)
        top = sorted(record)[rng.integers(len(record))]
        paths = list(_paths(record[top]))[:30]
        path = (top, *paths[rng.integers(len(paths))])
        parent = record
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = JUNK[rng.integers(len(JUNK))]
        (forged / "run.json").write_text(json.dumps(record))
        for use in (write_report, make_app):
            _, refusal = _either(lambda use=use: use(forged))
            assert refusal is None or refusal.fix, path
