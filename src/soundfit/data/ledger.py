"""Ledger: how often the same test rows were opened on this machine, by anyone. Knows no tables.

One SQLite file in the user's data folder, safe for several processes at once: each opening is one
immediate transaction. A ledger that cannot be written never stops the work: the openings of this
process are counted, and a warning says what is not.
"""

from __future__ import annotations

import math
import os
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_data_dir

from soundfit.data.seal import overlap

__all__ = ["LEDGER_VARIABLE", "Ledger", "LedgerWarning", "Opening", "Overlap", "ledger_path"]

LEDGER_VARIABLE = "SOUNDFIT_LEDGER"
WAIT_SECONDS = 30.0

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sealed (seal TEXT PRIMARY KEY, rows INTEGER NOT NULL, sketch BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS openings (id INTEGER PRIMARY KEY, seal TEXT NOT NULL, run TEXT NOT NULL,"
    " metric TEXT NOT NULL, value REAL, opened TEXT NOT NULL, ticket TEXT)",
    "CREATE INDEX IF NOT EXISTS openings_of_seal ON openings (seal)",
)


class LedgerWarning(UserWarning):
    """The ledger cannot be read or written; openings elsewhere are not counted."""


@dataclass(frozen=True)
class Opening:
    """One opening of sealed rows.

    Attributes:
        seal: of the rows.
        rows: how many.
        run: the run that opened them.
        metric, value: the score that was read; None where it was undefined.
        when: ISO 8601, UTC.
    """

    seal: str
    rows: int
    run: str
    metric: str
    value: float | None
    when: str


@dataclass(frozen=True)
class Overlap:
    """How far rows were opened before as part of other test sets.

    Attributes:
        share: of these rows that earlier exams had opened, 0 to 1.
        openings: openings of test sets that share rows with these.
    """

    share: float
    openings: int

    def __str__(self) -> str:
        times = "once" if self.openings == 1 else f"{self.openings} times"
        return f"{self.share:.0%} of these rows were opened before, in other test sets ({times})"


def ledger_path() -> Path:
    """Return where the ledger lives: the file named by SOUNDFIT_LEDGER, or one in the user's data folder."""
    named = os.environ.get(LEDGER_VARIABLE)
    return Path(named) if named else Path(user_data_dir("soundfit", appauthor=False)) / "ledger.sqlite"


class Ledger:
    """The ledger in one file.

    Args:
        path: of the file; :func:`ledger_path` by default. It is made at the first opening.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else ledger_path()
        self.problem = ""
        self._unwritten: Counter[str] = Counter()

    def record_opening(
        self,
        seal: str,
        *,
        rows: int,
        sketch: NDArray[np.uint64],
        run: str,
        metric: str,
        value: float | None,
        when: datetime | None = None,
        ticket: str | None = None,
    ) -> int:
        """Write down one opening and return how often these rows were opened, this time included.

        A ``ticket`` is written down once: whoever was interrupted after an opening and comes back with
        the same ticket is told the count of that opening.

        Where the ledger cannot be written, warns with :class:`LedgerWarning`, leaves the reason in
        ``problem`` and counts what it can still read and what this object opened.
        """
        opened = (when or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        number = None if value is None or not math.isfinite(value) else float(value)
        blob = np.asarray(sketch, dtype="<u8").tobytes()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._writing() as database:
                database.execute("INSERT OR IGNORE INTO sealed VALUES (?, ?, ?)", (seal, int(rows), blob))
                earlier = database.execute(
                    "SELECT MIN(id) FROM openings WHERE seal = ? AND ticket = ?", (seal, ticket)
                ).fetchone()[0]
                if earlier is None:
                    database.execute(
                        "INSERT INTO openings (seal, run, metric, value, opened, ticket)"
                        " VALUES (?, ?, ?, ?, ?, ?)",
                        (seal, str(run), metric, number, opened, ticket),
                    )
                count = database.execute(
                    "SELECT COUNT(*) FROM openings WHERE seal = ? AND id <= COALESCE(?, id)", (seal, earlier)
                ).fetchone()[0]
            return int(count) + self._unwritten[seal]
        except (sqlite3.Error, OSError) as error:
            self._unwritten[seal] += 1
            self._complain(error, "written")
            return len(self._read(seal)) + self._unwritten[seal]

    def openings(self, seal: str) -> tuple[Opening, ...]:
        """Return every recorded opening of these rows, oldest first; none where there is no ledger."""
        try:
            return self._read(seal, quiet=False)
        except (sqlite3.Error, OSError) as error:
            self._complain(error, "read")
            return ()

    def overlap(self, seal: str, sketch: NDArray[np.uint64]) -> Overlap:
        """Return how far these rows were opened before as part of other test sets."""
        try:
            if not self.path.exists():
                return Overlap(0.0, 0)
            with closing(self._connect(read_only=True)) as database:
                found = database.execute(
                    "SELECT sketch, (SELECT COUNT(*) FROM openings o WHERE o.seal = s.seal) FROM sealed s"
                    " WHERE seal <> ?",
                    (seal,),
                ).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._complain(error, "read")
            return Overlap(0.0, 0)
        sketches = [(np.frombuffer(blob, dtype="<u8").astype(np.uint64), count) for blob, count in found]
        sharing = [(one, count) for one, count in sketches if overlap(sketch, [one]) > 0]
        return Overlap(overlap(sketch, [one for one, _ in sharing]), sum(count for _, count in sharing))

    def _read(self, seal: str, *, quiet: bool = True) -> tuple[Opening, ...]:
        try:
            if not self.path.exists():
                return ()
            with closing(self._connect(read_only=True)) as database:
                found = database.execute(
                    "SELECT s.seal, s.rows, o.run, o.metric, o.value, o.opened FROM openings o"
                    " JOIN sealed s ON s.seal = o.seal WHERE o.seal = ? ORDER BY o.id",
                    (seal,),
                ).fetchall()
        except (sqlite3.Error, OSError):
            if quiet:
                return ()
            raise
        return tuple(Opening(*row) for row in found)

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        where = self.path.absolute().as_uri() + ("?mode=ro" if read_only else "")
        return sqlite3.connect(where, timeout=WAIT_SECONDS, isolation_level=None, uri=True)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as database:
            # Immediate: a later upgrade from reading to writing could fail under another writer.
            database.execute("BEGIN IMMEDIATE")
            try:
                for statement in _SCHEMA:
                    database.execute(statement)
                columns = [row[1] for row in database.execute("PRAGMA table_info(openings)")]
                if "ticket" not in columns:  # a ledger of the first version
                    database.execute("ALTER TABLE openings ADD COLUMN ticket TEXT")
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def _complain(self, error: Exception, what: str) -> None:
        self.problem = (
            f"The ledger of opened test rows cannot be {what} ({self.path}: {error}), so the number of"
            " openings counts this run alone. Fix: move the file away, and a new ledger starts from"
            f" nothing; or name another file in {LEDGER_VARIABLE}."
        )
        warnings.warn(self.problem, LedgerWarning, stacklevel=3)
