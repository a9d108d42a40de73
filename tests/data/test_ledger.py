"""The ledger: openings are counted exactly, by any number of processes, and trouble never stops work."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from soundfit.data.ledger import Ledger, LedgerWarning, Opening, Overlap, ledger_path

ROWS = np.arange(10, dtype=np.uint64)


def opened(
    ledger: Ledger, seal: str, *, sketch: np.ndarray = ROWS, run: str = "run", value: float | None = 0.5
) -> int:
    return ledger.record_opening(seal, rows=10, sketch=sketch, run=run, metric="rmse", value=value)


def open_many(path: Path, seals: list[str], start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    ledger = Ledger(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seal in seals:
            opened(ledger, seal, run=f"{os.getpid()}")


def test_openings_are_counted_by_seal(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.sqlite")
    assert ledger.openings("a") == ()
    assert not ledger.path.exists()
    assert [opened(ledger, seal) for seal in "aabaa"] == [1, 2, 1, 3, 4]
    assert [opened(Ledger(ledger.path), seal) for seal in "ab"] == [5, 2]
    assert ledger.problem == ""


def test_an_opening_is_kept_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    when = datetime(2030, 5, 17, 12, 30, tzinfo=timezone(timedelta(hours=2)))
    ledger.record_opening("s", rows=7, sketch=ROWS, run="runs/a", metric="mae", value=1.25, when=when)
    ledger.record_opening("s", rows=7, sketch=ROWS, run="runs/b", metric="r2", value=float("nan"), when=when)
    first, second = ledger.openings("s")
    assert first == Opening("s", 7, "runs/a", "mae", 1.25, "2030-05-17T10:30:00+00:00")
    assert (second.run, second.value) == ("runs/b", None)


def test_four_processes_lose_no_opening(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    seals = ["even", "odd"] * 12 + ["even"]
    workers = [context.Process(target=open_many, args=(path, seals, start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    ledger = Ledger(path)
    assert len(ledger.openings("even")) == 52
    assert len(ledger.openings("odd")) == 48
    assert opened(ledger, "even") == 53


def test_rows_opened_in_another_test_set_are_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.overlap("a", ROWS) == Overlap(0.0, 0)
    opened(ledger, "a")
    opened(ledger, "a")
    opened(ledger, "far", sketch=ROWS + np.uint64(100))
    assert ledger.overlap("a", ROWS) == Overlap(0.0, 0)  # the same rows are openings, no overlap
    found = ledger.overlap("b", ROWS + np.uint64(6))
    assert found == Overlap(0.4, 2)
    assert str(found) == "40% of these rows were opened before, in other test sets (2 times)"


def test_large_row_hashes_survive_the_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    high = np.array([2**63 + 5, 2**64 - 1], dtype=np.uint64)
    opened(ledger, "a", sketch=high)
    assert ledger.overlap("b", high).share == 1.0


@pytest.mark.parametrize("trouble", ["no database", "a folder", "no folder", "cut off", "other tables"])
def test_a_broken_ledger_warns_and_the_work_goes_on(tmp_path: Path, trouble: str) -> None:
    path = tmp_path / "ledger.sqlite"
    if trouble == "no database":
        path.write_text("not a database, but long enough to have a header " * 50)
    elif trouble == "a folder":
        path.mkdir()
    elif trouble == "no folder":
        (tmp_path / "file").write_text("")
        path = tmp_path / "file" / "ledger.sqlite"
    elif trouble == "cut off":
        for i in range(50):
            opened(Ledger(path), f"{i}", sketch=np.arange(4_096, dtype=np.uint64))
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\0" * 4096 + content[8192 : len(content) // 2])
    else:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE openings (something INTEGER)")
        database.close()
    ledger = Ledger(path)
    for expected in (1, 2):
        with pytest.warns(LedgerWarning, match="The ledger of opened test rows cannot be written"):
            assert opened(ledger, "a") == expected
    assert str(path) in ledger.problem
    assert "Fix: move the file away" in ledger.problem
    assert "SOUNDFIT_LEDGER" in ledger.problem


def test_a_ledger_that_cannot_be_read_warns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a database, but long enough to have a header " * 50)
    with pytest.warns(LedgerWarning, match="cannot be read"):
        assert Ledger(path).openings("a") == ()
    with pytest.warns(LedgerWarning, match="cannot be read"):
        assert Ledger(path).overlap("a", ROWS) == Overlap(0.0, 0)


def test_a_read_only_ledger_still_counts_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert [opened(ledger, "a") for _ in range(3)] == [1, 2, 3]
    connect = sqlite3.connect

    # File permissions do not bind the superuser that tests may run as: SQLite is told instead.
    def read_only(database: str, **options: object) -> sqlite3.Connection:
        return connect(database.split("?")[0] + "?mode=ro", **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("soundfit.data.ledger.sqlite3.connect", read_only)
    for expected in (4, 5):
        with pytest.warns(LedgerWarning, match="readonly"):
            assert opened(ledger, "a") == expected
    monkeypatch.undo()
    assert opened(ledger, "a") == 6  # three in the file, two of this object, and this one


def test_the_ledger_lives_in_the_users_folder_or_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDFIT_LEDGER", str(tmp_path / "mine.sqlite"))
    assert Ledger().path == ledger_path() == tmp_path / "mine.sqlite"
    monkeypatch.delenv("SOUNDFIT_LEDGER")
    assert ledger_path().name == "ledger.sqlite"
    assert "soundfit" in str(ledger_path().parent)


def test_a_ticket_is_counted_once_and_told_its_own_count(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def open_with(ticket: str | None) -> int:
        return ledger.record_opening(
            "s", rows=10, sketch=ROWS, run="run", metric="rmse", value=0.5, ticket=ticket
        )

    assert [open_with(t) for t in ("a", None, "a", "b", None, "b", "a")] == [1, 2, 1, 3, 4, 3, 1]
    assert len(ledger.openings("s")) == 4


def test_a_ledger_without_tickets_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE openings (id INTEGER PRIMARY KEY, seal TEXT NOT NULL, run TEXT NOT NULL,"
        " metric TEXT NOT NULL, value REAL, opened TEXT NOT NULL)"
    )
    database.execute("INSERT INTO openings VALUES (1, 's', 'old', 'rmse', 0.5, '2026-01-01')")
    database.commit()
    database.close()
    ledger = Ledger(path)
    assert opened(ledger, "s") == 2
    assert ledger.problem == ""
