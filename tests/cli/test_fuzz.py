"""Mutated tables through the commands: an answer, or one paragraph and exit code 1 or 2, no traceback."""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.cli import main

ENDINGS = {"csv": pd.DataFrame.to_csv, "parquet": pd.DataFrame.to_parquet}
JUNK = (
    b"\x00",
    b'"',
    b"\n",
    b"\r",
    b",",
    b";;;;",
    b"\xff\xfe",
    b"1e999",
    b"\xef\xbb\xbf",
    b"nan",
    b"'",
    b"\t",
)


def _frame(n=40):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(50, 9, n).round(1),
            "kind": rng.choice(["flat", "house", 'a "b", c'], n),
            "built": pd.date_range("2001-01-31", periods=n, freq="D").strftime("%Y-%m-%d"),
        }
    )
    return frame.assign(price=3 * frame["size"] + rng.normal(0, 5, n))


def _content(ending):
    stream = io.BytesIO()
    ENDINGS[ending](_frame(), stream, index=False)
    return stream.getvalue()


def _mutated(content, rng):
    """Flip, cut out, repeat, insert and cut off bytes, a few times."""
    made = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(made) + 1))
        length = int(rng.integers(1, 40))
        match rng.integers(5):
            case 0:
                made[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                del made[at : at + length]
            case 2:
                made[at:at] = made[at : at + length] * 3
            case 3:
                made[at:at] = JUNK[rng.integers(len(JUNK))] * int(rng.integers(1, 4))
            case 4 if rng.random() < 0.3:
                del made[at:]
    return bytes(made)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "run"
    return sf.train(_frame(), target="price", model="linear", folds=2, out=path).path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("command", ["audit", "predict"])
def test_mutated_files_end_in_an_answer_or_in_one_paragraph(
    run, command, ending, tmp_path, monkeypatch, capsys
):
    rng = np.random.default_rng([3, len(command), len(ending)])
    content = _content(ending)
    codes = []
    for i in range(15):
        path = tmp_path / f"{i}.{ending}"
        path.write_bytes(_mutated(content, rng))
        given = [path, "--target", "price", "--quiet"] if command == "audit" else [run, path]
        monkeypatch.setattr(sys, "argv", ["soundfit", command, *map(str, given)])
        with pytest.raises(SystemExit) as stopped:
            main.run()
        code, (out, err) = stopped.value.code or 0, capsys.readouterr()
        codes.append(code)
        told = f"{command} {path.name}: {err}"
        assert code in (0, 1, 2), told
        assert "Traceback" not in out + err, told
        # That is how a bug of ours is told.
        assert "did not expect" not in err, told
        if code == 2 or (code == 1 and command == "predict"):
            assert err.startswith("error: "), told
            assert len(err.strip().splitlines()) == 1, told
            assert "Fix: " in err, told
    assert any(codes), "no mutation was ever refused"
