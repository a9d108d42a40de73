"""The local server of a model on sequences: the same answer as predict, and hostile files are refused."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from fastapi.testclient import TestClient

from soundfit.artifact.sequence_predictor import build_sequence_predictor
from soundfit.data.sequence_layout import Layout
from soundfit.data.target import TargetScale
from soundfit.models.sequence import build_sequence_net
from soundfit.records import Config
from soundfit.serve import app as app_module

FORMS = {
    "arrays": Layout("arrays", ("a", "b")),
    "columns": Layout("columns", ("a", "b"), sequence=("a", "b")),
    "long": Layout("long", ("a", "b"), sequence=("visit",), time="hour"),
}


def _predictor(layout):
    torch.manual_seed(0)
    config = Config(model="gru", width=4, depth=1)
    shape = config.with_(center=[0.0, 0.0], spread=[1.0, 1.0], missing=[])
    states = [build_sequence_net(shape, 6, 1).state_dict() for _ in range(2)]
    scale = TargetScale("identity", 0.0, 1.0, -9.0, 9.0)
    return build_sequence_predictor(
        config,
        states,
        layout=layout,
        n_steps=6,
        missing=(),
        scales=(scale, scale),
        task="regression",
        target="y",
        classes=(),
    )


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    made = {}
    for form, layout in FORMS.items():
        predictor = _predictor(layout)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(app_module, "load_predictor", lambda run, predictor=predictor: predictor)
            run = tmp_path_factory.mktemp("run")
            (run / "run.json").write_text('{"schema": 1, "verdict": {"text": "good <fit>"}}')
            made[form] = (TestClient(app_module.make_app(run)), predictor)
    return made


def _x(n=5):
    return np.random.default_rng(0).normal(size=(n, 6, 2)).astype(np.float32)


def _npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _file(form):
    x = _x()
    if form == "arrays":
        return _npz(X=x), "rows.npz"
    if form == "columns":
        frame = pd.DataFrame({"a": x[:, :, 0].tolist(), "b": x[:, :, 1].tolist()})
    else:
        rows = [(f"v{i}", t, *x[i, t].tolist()) for i in range(len(x)) for t in range(6)]
        frame = pd.DataFrame(rows, columns=["visit", "hour", "a", "b"])
    return frame.to_csv(index=False).encode(), "rows.csv"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_answered_as_the_command_predicts_it(clients, tmp_path, form):
    client, predictor = clients[form]
    content, name = _file(form)
    answer = client.post("/predict", content=content)
    assert answer.status_code == 200, answer.text
    (tmp_path / name).write_bytes(content)
    expected = predictor.predict(tmp_path / name)
    assert len(expected) == 5
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(answer.text)), expected, rtol=1e-6)


def _bomb():
    return _npz(X=np.zeros((300, 1_000, 500), dtype=np.float32))


def _promise():
    """A header of 8 TB over a few bytes."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 2), }".ljust(117) + b"\n"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(
            "X.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\x00" * 64
        )
    return stream.getvalue()


def _many():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i in range(200):
            archive.writestr(f"{i}.npy", b"")
    return stream.getvalue()


HOSTILE = {
    "nothing": (lambda: b"", 422, "."),
    "text": (lambda: b"hello", 422, "."),
    "a list of objects": (lambda: _npz(X=np.array([[1, None]], dtype=object)), 422, "Python objects"),
    "another shape": (lambda: _npz(X=np.zeros(3)), 422, "sequences, steps"),
    "other channels": (lambda: _npz(X=np.zeros((2, 3, 5))), 422, "5 instead of 2"),
    "cut off": (lambda: _file("arrays")[0][:200], 422, "no whole npz file"),
    "a bomb": (_bomb, 413, "unpacked"),
    "an empty promise": (_promise, 422, "promises more"),
    "many arrays": (_many, 413, "at most 100 arrays"),
    "no arrays": (lambda: zipfile.ZipFile(made := io.BytesIO(), "w").close() or made.getvalue(), 422, "npz"),
    "Parquet in name alone": (lambda: b"PAR1" + b"\x00" * 64, 422, "."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_file_of_sequences_is_refused_in_words(clients, name):
    make, code, words = HOSTILE[name]
    answer = clients["arrays"][0].post("/predict", content=make())
    assert answer.status_code == code, answer.text
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("form", FORMS)
def test_40_mutated_files_never_crash_the_server(clients, form):
    rng = np.random.default_rng(1)
    content = _file(form)[0]
    for _ in range(40):
        body = bytearray(content if rng.random() < 0.7 else content[: rng.integers(len(content))])
        for _ in range(rng.integers(1, 5)):
            if body:
                body[rng.integers(len(body))] = rng.integers(256)
        answer = clients[form][0].post("/predict", content=bytes(body))
        assert answer.status_code in (200, 413, 422), answer.text
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("form", "told"), [("arrays", "npz file"), ("columns", "[1, 2, 3]"), ("long", "visit")]
)
def test_the_page_says_what_it_reads_and_needs_no_network(clients, form, told):
    page = clients[form][0].get("/").text
    assert told in page
    assert "good &lt;fit&gt;" in page
    assert '<label for="file">' in page
    assert "http://" not in page
    assert "https://" not in page
    assert clients[form][0].get("/model").json()["channels"] == ["a", "b"]
    assert "/predict" in clients[form][0].get("/docs").text
