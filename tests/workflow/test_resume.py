"""An interrupted training goes on to the same result, whenever it was cut; one exam, opened once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import soundfit as sf
from soundfit.bank import chunk_run
from soundfit.errors import Interrupted, StopError, UsageError
from soundfit.workflow import folder, inquiry, material, run, train
from soundfit.workflow.options import Options
from soundfit.workflow.resume import Checkpoint, go_on_command
from soundfit.workflow.train import train_data
from soundfit.workflow.watcher import Watcher


def table(n: int = 160) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3))
    y = x @ [1.0, -2.0, 0.5] + np.sin(2 * x[:, 0]) + 0.3 * rng.normal(size=n)
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})


@pytest.fixture(autouse=True, scope="module")
def _no_curve() -> Iterator[None]:
    """Leave the learning curve out: it trains by the same door and takes half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inquiry, "_CURVE_COST", 0.0)
        patch.setattr(inquiry, "_CURVE_SHARE", 0.0)
        yield


def go(out: Path | None, *, data: pd.DataFrame | None = None, **changes: object) -> sf.Run:
    options = {"target": "y", "model": "linear", "folds": 3, "out": out, "resume": out is not None}
    return sf.train(table() if data is None else data, **{**options, **changes})


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setenv("SOUNDFIT_LEDGER", str(path))
    return path


def openings(path: Path) -> int:
    if not path.exists():
        return 0
    database = sqlite3.connect(path)
    (count,) = database.execute("SELECT COUNT(*) FROM openings").fetchone()
    database.close()
    return int(count)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    place = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOUNDFIT_LEDGER", str(place / "ledger.sqlite"))
        go(place / "run")
    return place / "run"


def assert_same(a: Path, b: Path) -> None:
    """Compare all that two runs left behind, but for times."""
    names = sorted(str(p.relative_to(a)) for p in a.rglob("*"))
    assert names == sorted(str(p.relative_to(b)) for p in b.rglob("*"))
    documents = []
    for path in (a, b):
        document = json.loads((path / "run.json").read_text())
        del document["created"], document["seconds"], document["study"]["seconds"]
        documents.append(document)
    assert documents[0] == documents[1]
    for name in names:
        path = a / name
        if path.suffix == ".parquet":
            pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(b / name), check_exact=True)
        elif path.is_file() and path.name not in ("run.json", "report.html"):
            assert path.read_bytes() == (b / name).read_bytes(), name


class Killed(BaseException):
    """Stands for kill -9: nothing in soundfit catches it, so nothing is tidied up."""


def dying(times: int, function: object, *, after: bool) -> object:
    """Return the function that dies at the given call of it, before or after doing its work."""
    left = times

    def call(*args: object, **kwargs: object) -> object:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise Killed
        result = function(*args, **kwargs)  # type: ignore[operator]
        if left == 0:
            raise Killed
        return result

    return call


MOMENTS = [
    ("a member is saved", chunk_run, "save_state", 1, False),
    ("some members are through", chunk_run, "save_state", 4, True),
    ("the seal is about to open", train, "examine", 1, False),
    ("the ledger has counted", train, "examine", 1, True),
    ("the exam is kept", Checkpoint, "keep_exam", 1, True),
    ("the folder is written", folder.Path, "replace", 5, True),
    ("all but the mark is done", Checkpoint, "remove", 1, False),
]


@pytest.mark.parametrize(("what", "owner", "name", "times", "after"), MOMENTS, ids=[m[0] for m in MOMENTS])
def test_a_training_cut_at_any_point_goes_on_to_the_same_run(
    what: str, owner: object, name: str, times: int, after: bool, whole: Path, ledger: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk_run, "SAVE_SECONDS", 0.0)
        patch.setattr(owner, name, dying(times, getattr(owner, name), after=after))
        with pytest.raises(Killed):
            go(out)
    assert folder.is_unfinished(out)
    if "run.json" not in {p.name for p in out.iterdir()}:
        with pytest.raises(UsageError, match=r"unfinished one.*--resume"):
            folder.read_run(out)
    if what in ("a member is saved", "some members are through", "the seal is about to open"):
        assert openings(ledger) == 0
    go(out)
    assert_same(whole, out)
    assert openings(ledger) == 1


def train_and_wait(out: str, ledger: str) -> None:
    os.environ["SOUNDFIT_LEDGER"] = ledger
    inquiry._CURVE_COST = inquiry._CURVE_SHARE = 0.0
    go(Path(out))


def kept_states(out: Path) -> int:
    """Count the states that lie in a folder, which may be moved meanwhile."""
    return sum(name.endswith(".safetensors") for _, _, names in os.walk(out) for name in names)


@pytest.mark.slow
def test_a_training_killed_again_and_again_ends_in_the_same_run(whole: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["soundfit.workflow.train", __name__])
    rng = np.random.default_rng(0)
    out, ledger = tmp_path / "run", tmp_path / "ledger.sqlite"
    for _ in range(3):
        process = context.Process(target=train_and_wait, args=(str(out), str(ledger)))
        process.start()
        # Wait for a sign of training first: a kill before it tests nothing.
        start, seen = time.monotonic(), kept_states(out)
        while process.is_alive() and time.monotonic() - start < 120:
            if kept_states(out) > seen:
                break
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.5)))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
    if folder.is_unfinished(out) or not out.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOUNDFIT_LEDGER", str(ledger))
            go(out)
    assert_same(whole, out)
    assert openings(ledger) == 1


def test_ctrl_c_keeps_what_was_done_sealed_and_the_training_goes_on(
    whole: Path, ledger: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = Options("y", model="linear", folds="3", out=out)
    left = [3]

    def asked() -> bool:
        left[0] -= 1
        return left[0] < 0

    with pytest.raises(Interrupted, match=r"before one configuration was through.*resume=True"):
        train_data(table(), options, watcher=Watcher(interrupted=asked))
    assert openings(ledger) == 0
    with pytest.raises(UsageError, match="unfinished training"):
        go(out, resume=False)
    go(out)
    assert_same(whole, out)
    assert openings(ledger) == 1


def test_a_run_interrupted_late_is_whole_and_then_replaced(whole: Path, ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    stages: list[str] = []
    watcher = Watcher(on_stage=stages.append, interrupted=lambda: "asking other kinds of model" in stages)
    early = train_data(table(), Options("y", model="linear", folds="3", out=out), watcher=watcher)
    assert early.interrupted
    assert early.exam is None
    assert folder.read_run(out)["exam"] is None
    assert sf.load(out).predict(table()).shape[0] == len(table())
    go(out)
    assert_same(whole, out)
    assert openings(ledger) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "--seed was 0 and is 1"),
        ({"folds": 4}, "--folds was '3' and is '4'"),
        ({"drop": "a"}, "--drop was"),
        ({"data": table(161)}, "the data's sha256 was"),
    ],
)
def test_resume_refuses_anything_but_the_same_training(
    change: dict[str, object], said: str, ledger: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "inquire", dying(1, train.inquire, after=False))
        with pytest.raises(Killed):
            go(out)
    with pytest.raises(UsageError, match="goes on with the very training") as caught:
        go(out, **change)
    assert said in str(caught.value)
    # What was refused did no harm.
    assert folder.is_unfinished(out)


def test_other_versions_are_refused(ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "inquire", dying(1, train.inquire, after=False))
        with pytest.raises(Killed):
            go(out)
    path = out / folder.RESUME / "training.json"
    kept = json.loads(path.read_text())
    kept["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(kept))
    with pytest.raises(UsageError, match=r"the version of torch was '1.0'.*install the versions"):
        go(out)


def test_a_finished_run_is_not_gone_on_with(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a finished run"):
        go(whole)
    with pytest.raises(UsageError, match="no run folder"):
        go(None, resume=True)


def test_two_processes_do_not_train_into_one_folder(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def nested(*args: object, **kwargs: object) -> object:
        with pytest.raises(UsageError, match="another process is working on"):
            go(out)
        raise Killed

    monkeypatch.setattr(train, "inquire", nested)
    with pytest.raises(Killed):
        go(out)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "needs space on the disk.*make room"),
        (MemoryError(), "needs more memory than there is"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "needs more memory"),
        (KeyboardInterrupt(), "stopped at once"),
    ],
)
def test_an_end_by_disk_memory_or_hand_is_told_and_kept(
    error: BaseException, said: str, ledger: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    def fail(*args: object, **kwargs: object) -> object:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        # Before any training: what comes after is tested above.
        patch.setattr(material, "table_views", fail)
        with pytest.raises(Interrupted, match=said) as caught:
            go(out)
    assert "go on with" in str(caught.value)
    assert caught.value.exit_code == 3
    assert folder.is_unfinished(out)


def test_a_disk_that_is_full_at_the_end_costs_nothing(whole: Path, ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def full(*args: object, **kwargs: object) -> object:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "save_predictor", full)
        with pytest.raises(Interrupted, match=r"No space left.*make room"):
            go(out)
    assert {p.name for p in out.iterdir()} == {folder.RESUME}
    go(out)
    assert_same(whole, out)
    assert openings(ledger) == 1


def test_what_cannot_go_on_leaves_nothing(ledger: Path, tmp_path: Path) -> None:
    def fail(*args: object, **kwargs: object) -> object:
        raise StopError("no", received="nothing", fix="none")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "inquire", fail)
        with pytest.raises(StopError):
            go(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("soundfit train a.csv --target y --out r", "soundfit train a.csv --target y --out r --resume"),
        ("soundfit train a.csv --target y", "soundfit train a.csv --target y --out runs/a --resume"),
        ("soundfit train a.csv --out=r --resume", "soundfit train a.csv --out=r --resume"),
        ("<python>", "the same call with resume=True"),
    ],
)
def test_the_command_that_goes_on(command: str, said: str) -> None:
    assert go_on_command(command, Path("runs/a")) == said
