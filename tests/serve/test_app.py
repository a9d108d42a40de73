"""The local server: the fast path equals the slow one, and what can't be read is 422 in words."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

import soundfit as sf
from soundfit.errors import UsageError
from soundfit.report.words import Words
from soundfit.serve.app import MOST_BYTES, make_app
from soundfit.serve.model import ServedModel
from soundfit.serve.page import script_words
from soundfit.serve.socket import open_socket


def _frame(n=240):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(50, 9, n).round(1),
            "kind": rng.choice(["flat", "house", "<b>"], n),
            "garden": rng.choice(["yes", "no"], n),
            "built": (pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, n), "D")).strftime(
                "%Y-%m-%d"
            ),
        }
    )
    frame["price"] = 3 * frame["size"] + 40 * (frame["kind"] == "house") + rng.normal(0, 5, n)
    frame.loc[::9, "size"] = np.nan
    frame.loc[::11, "kind"] = np.nan
    return frame


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    run = sf.train(_frame(), target="price", model="linear", out=tmp_path_factory.mktemp("serve") / "run")
    with TestClient(make_app(run.path)) as client:
        yield client, run


ROW = {"size": 51.5, "kind": "house", "garden": "yes", "built": "2001-05-06"}


def test_one_row_fast_equals_the_predictor(served):
    client, run = served
    rows = [
        ROW,
        {**ROW, "size": None, "kind": None},
        {**ROW, "size": "1,200", "kind": " flat ", "garden": True, "built": None},
        {**ROW, "size": 1e300, "kind": "castle", "garden": 0, "built": "1899-01-01"},
    ]
    for row in rows:
        answer = client.post("/predict", json=row)
        assert answer.status_code == 200, answer.text
        frame = pd.DataFrame([row], dtype=object)
        expected = run.predict(frame).iloc[0].to_dict()
        assert answer.json() == pytest.approx(expected, rel=1e-5)


def test_reasons_sum_to_the_difference_from_a_typical_row(served):
    client, _ = served
    told = client.post("/explain", json={**ROW, "size": 80}).json()
    assert told["why"][0]["column"] == "size"
    assert sum(r["effect"] for r in told["why"]) == pytest.approx(told["value"] - told["typical"], rel=1e-6)
    assert told["value"] == pytest.approx(told["prediction"], rel=1e-6)


def test_reasons_of_a_linear_model_are_exact(served):
    _, run = served
    model = ServedModel(run.predictor)
    reasons, _, _ = model.why(model.encode(ROW))
    moved = model.answers([model.encode({**model.typical, "kind": "house"}), model.encode(model.typical)])
    effect = next(r.effect for r in reasons if r.column == "kind")
    assert effect == pytest.approx(moved[0]["prediction"] - moved[1]["prediction"], rel=1e-4)


def test_a_file_comes_back_with_one_prediction_a_row(served):
    client, run = served
    frame = _frame().drop(columns="price")
    answer = client.post("/predict/csv", content=frame.to_csv(index=False))
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    got = pd.read_csv(io.StringIO(answer.text))
    pd.testing.assert_frame_equal(got, run.predict(frame), rtol=1e-6)


BAD = {
    "no JSON": (b"{", "one JSON object"),
    "a list": (b"[1]", "one JSON object"),
    "deep": (b"[" * 100_000, "one JSON object"),
    "not UTF-8": (b'{"size": "\xff"}', "one JSON object"),
    "NaN": (b'{"size": NaN}', "send null"),
    "a column too few": (json.dumps({k: v for k, v in ROW.items() if k != "size"}).encode(), "'size'"),
    "a word for a number": (json.dumps({**ROW, "size": "large"}).encode(), "Column 'size'"),
    "a list in a column": (json.dumps({**ROW, "kind": ["flat"]}).encode(), "Column 'kind'"),
    "no date": (json.dumps({**ROW, "built": "soon"}).encode(), "Column 'built'"),
    "perhaps": (json.dumps({**ROW, "garden": "perhaps"}).encode(), "Column 'garden'"),
    "a long text": (json.dumps({**ROW, "kind": "x" * 20_000}).encode(), "Column 'kind'"),
}


@pytest.mark.parametrize("route", ["/predict", "/explain"])
@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_422_with_the_column(served, name, route):
    client, _ = served
    body, words = BAD[name]
    answer = client.post(route, content=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_120_fuzzed_bodies_never_crash_the_server(served):
    client, _ = served
    rng = np.random.default_rng(0)
    values = [None, True, "", "x", "\x00", "9" * 400, -1e308, 2**70, [], {}, "2021-13-45", "∞", "nan"]
    for i in range(120):
        row = {k: values[rng.integers(len(values))] if rng.random() < 0.6 else v for k, v in ROW.items()}
        body = bytearray(json.dumps(row).encode() if i % 2 else _frame(3).to_csv(index=False).encode())
        for _ in range(rng.integers(0, 4)):
            body[rng.integers(len(body))] = rng.integers(256)
        answer = client.post(["/predict/csv", "/predict"][i % 2], content=bytes(body))
        assert answer.status_code in (200, 413, 422), answer.text
        assert "Traceback" not in answer.text


def test_bodies_are_bounded_and_other_hosts_refused(served):
    client, _ = served
    assert client.post("/predict", content=b" " * (MOST_BYTES + 1)).status_code == 413
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_the_pages_need_no_network_and_escape_what_they_show(served):
    client, _ = served
    page = client.get("/")
    assert page.status_code == 200
    assert "&lt;b&gt;" in page.text
    assert "<b>" not in page.text
    for text in (page.text, client.get("/docs").text):
        assert "http://" not in text
        assert "https://" not in text
    assert client.get("/report").status_code == 200
    assert "size" in client.get("/openapi.json").text
    assert client.get("/health").json() == {"status": "ok"}
    assert [c["name"] for c in client.get("/model").json()["columns"]] == list(ROW)


def test_answers_are_not_held_back_until_the_client_acknowledges():
    """A socket made without its protocol cost each request 40 ms (Nagle, delayed acknowledgement)."""

    async def accepted():
        ready = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda _, writer: ready.set_result(writer), sock=listening)
        _, client = await asyncio.open_connection(*listening.getsockname()[:2])
        writer = await ready
        delay = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for stream in (client, writer):
            stream.close()
            await stream.wait_closed()
        server.close()
        return delay

    listening = open_socket("127.0.0.1", 0)
    assert asyncio.run(accepted())


def test_a_taken_port_is_a_sentence():
    taken = open_socket("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(UsageError, match="choose another --port"):
        open_socket("127.0.0.1", taken.getsockname()[1])
    taken.close()


def test_pages_speak_the_reader_s_language(served):
    _, run = served
    with TestClient(make_app(run.path, lang="zh")) as client:
        page = client.get("/").text
        assert '<html lang="zh">' in page
        assert "单行" in page
        assert json.dumps("下载 predictions.csv")[1:-1] in page or "下载 predictions.csv" in page
        assert "请求体示例" in client.get("/docs").text
    with pytest.raises(UsageError, match="A language is one of"):
        make_app(run.path, lang="tlh")


def test_scripts_say_nothing_that_pages_do_not_translate():
    """Each text that a script says is among those that the page hands to it in the reader's language."""
    folder = files("soundfit.serve") / "templates"
    known = script_words(Words("zh"))
    for name in ("serve", "common", "pictures", "files"):
        script = (folder / f"{name}.js").read_text(encoding="utf-8")
        for text in re.findall(r'say\("((?:[^"\\]|\\.)*)"', script):
            assert text in known, f"{name}.js: {text}"
        silent = re.search(r'SILENT = "(.*)";', script)
        assert silent is None or silent[1] in known
