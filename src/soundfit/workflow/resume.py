"""Resume: what an unfinished training keeps under its run folder, so that it goes on to the same result.

``OUT/.resume`` holds ``training.json`` (what is trained, with which options, on which rows), the states of
members as tensors and JSON, and the exam's record once the seal was opened. It is there while a training
is unfinished and gone when the run folder is whole. Knows no members and no models.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from soundfit.data.table import Table
from soundfit.errors import Interrupted, StopError, UsageError
from soundfit.records import Plan
from soundfit.records.said import say
from soundfit.workflow.folder import RESUME, read_json, write_json
from soundfit.workflow.hardware import describe_versions
from soundfit.workflow.options import Options

try:
    import fcntl
except ImportError:  # no locks on this system
    fcntl = None  # type: ignore[assignment]

__all__ = ["Checkpoint", "begin", "go_on_command", "keeping"]

_SCHEMA = 1
# What may differ between the sessions of one training: where it runs, and how it is told.
_FREE = frozenset({"out", "command", "resume", "executor", "ray_address", "lang", "log_to"})


@dataclass(frozen=True)
class Checkpoint:
    """An unfinished training on disk.

    Attributes:
        folder: ``OUT/.resume``.
        created: when it began, ISO 8601.
        command: that began it.
        ticket: under which the ledger counts its one opening of the seal.
        spent: seconds that earlier sessions took.
        resumed: whether there was an earlier session.
    """

    folder: Path
    created: str
    command: str
    ticket: str
    spent: float = 0.0
    resumed: bool = False

    @property
    def members(self) -> Path:
        """The folder for the states of members."""
        return self.folder / "members"

    def exam(self) -> tuple[dict[str, Any], tuple[str, ...]] | None:
        """Return the record and remarks of the exam where an earlier session opened the seal."""
        kept = read_json(self.folder / "exam.json")
        return None if kept is None else (kept["record"], tuple(kept["remarks"]))

    def keep_exam(self, record: dict[str, Any], remarks: tuple[str, ...]) -> None:
        """Keep the exam's record, so that no later session opens the seal again."""
        write_json(self.folder / "exam.json", {"record": record, "remarks": list(remarks)})

    def remove(self) -> None:
        """Forget the training; an otherwise empty run folder goes too."""
        # First what makes it a checkpoint, so that a half-removed one is none.
        (self.folder / "training.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        out = self.folder.parent
        if out.is_dir() and not any(out.iterdir()):
            out.rmdir()


@contextmanager
def begin(
    options: Options, table: Table, plan: Plan, created: datetime, *, of_data: Mapping[str, str] | None = None
) -> Iterator[Checkpoint | None]:
    """Begin a training under ``options.out``, or go on with the one there (``options.resume``).

    Yields None without a run folder. One process at a time holds a folder. ``of_data`` names what the
    training depends on beside rows and options, such as the digest of a backbone's weights.

    Raises:
        UsageError: another training is unfinished there, of other data, options or versions, or is at
            work right now; or the folder cannot be written.
    """
    if options.out is None:
        yield None
        return
    folder = options.out.absolute() / RESUME
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(folder))
            checkpoint = _open(folder, _identity(options, table, plan, of_data or {}), options, created)
        except OSError as error:
            raise UsageError(
                "A run folder needs a place that can be written and enough space",
                received=f"{type(error).__name__}: {error}",
                fix="free some space or choose another --out",
            ) from error
        yield checkpoint


def _open(folder: Path, wanted: dict[str, Any], options: Options, created: datetime) -> Checkpoint:
    path = folder / "training.json"
    kept = read_json(path)
    if kept is None:
        checkpoint = Checkpoint(
            folder, created.isoformat(timespec="seconds"), options.command, uuid.uuid4().hex
        )
        kept = {
            "schema": _SCHEMA,
            "created": checkpoint.created,
            "command": checkpoint.command,
            "ticket": checkpoint.ticket,
            "spent": 0.0,
            **wanted,
        }
    else:
        _check_same(kept, wanted, folder.parent)
        spent = float(kept["spent"]) + max(0.0, _latest(folder) - float(kept["session"]))
        checkpoint = Checkpoint(folder, kept["created"], kept["command"], kept["ticket"], spent, True)
    write_json(path, {**kept, "spent": checkpoint.spent, "session": time.time()})
    return checkpoint


def _latest(folder: Path) -> float:
    """Return when the last session last wrote something."""
    return max((p.stat().st_mtime for p in folder.rglob("*")), default=0.0)


def _identity(options: Options, table: Table, plan: Plan, of_data: Mapping[str, str]) -> dict[str, Any]:
    """Return everything that the result of a training depends on, as JSON has it."""
    asked = {name: value for name, value in asdict(options).items() if name not in _FREE}
    digest = hashlib.blake2b(digest_size=16)
    for rows in (plan.test, *(r for f in plan.folds for r in (f.train, f.validation))):
        digest.update(f"{len(rows)}:".encode())
        digest.update(rows.tobytes())
    versions = {k: v for k, v in describe_versions().items() if k != "python"}
    return {
        "options": {k: list(v) if isinstance(v, tuple) else v for k, v in asked.items()},
        "data": {"sha256": table.sha256, "rows": len(table), "target": table.target_name, **of_data},
        "plan": digest.hexdigest(),
        "versions": versions,
    }


def _check_same(kept: dict[str, Any], wanted: dict[str, Any], out: Path) -> None:
    """Refuse to go on with anything but the same training."""
    if kept.get("schema") != _SCHEMA:
        raise _refused(out, f"schema {kept.get('schema')} of .resume", "delete the folder and train again")
    command = f"go on with the command of its beginning ({kept['command']}), or choose another --out"
    for name, rule in (("options", "--{}"), ("data", "the data's {}"), ("versions", "the version of {}")):
        before, now = kept[name], wanted[name]
        other = [k for k in {**now, **before} if before.get(k) != now.get(k)]
        if other:
            differ = "; ".join(
                f"{rule.format(k.replace('_', '-'))} was {_shown(before.get(k))} and is {_shown(now.get(k))}"
                for k in other[:4]
            )
            fix = command
            if name == "data":
                fix = "restore the data file, or choose another --out"
                if {"weights", "backbone"} & set(other):
                    fix = "restore the backbone's file of weights, or choose another --out"
            elif name == "versions":
                fix = "install the versions of its beginning, or choose another --out"
            raise _refused(out, differ, fix)
    if kept["plan"] != wanted["plan"]:
        raise _refused(out, "rows that are split in another way", command)


def _refused(out: Path, received: str, fix: str) -> UsageError:
    return UsageError(
        say("--resume goes on with the very training that {out} holds unfinished", out=out),
        received=received,
        fix=fix,
    )


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) > 40 else repr(value)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it is free again when this process ends, however it ends."""
    if fcntl is None:
        yield
        return
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "One process at a time trains into a run folder",
                received=say("{parent}, which another process is working on", parent=folder.parent),
                fix="wait for it, or choose another --out",
            ) from None
        yield


def go_on_command(command: str, out: Path) -> str:
    """Return the command that goes on with a training into ``out``.

    >>> go_on_command("soundfit train a.csv --target y", Path("runs/a"))
    'soundfit train a.csv --target y --out runs/a --resume'
    """
    if not command.startswith("soundfit "):
        return "the same call with resume=True"
    given = "" if " --out" in command else f" --out {out}"
    return command + given + ("" if " --resume" in command else " --resume")


@contextmanager
def keeping(checkpoint: Checkpoint | None, options: Options, interrupted: Any) -> Iterator[None]:
    """Say in words how a training that ends early goes on; forget one that cannot go on.

    Raises:
        Interrupted: the user, the memory or the disk ended it; what was trained is kept.
    """
    if checkpoint is None:
        yield
        return
    out = checkpoint.folder.parent
    go_on = f"go on with: {go_on_command(checkpoint.command, options.out or out)}"
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "Training was stopped at once",
            received=say("what was trained is kept in {out}", out=out),
            fix=go_on,
        ) from None
    except StopError:
        if not interrupted():
            checkpoint.remove()
            raise
        raise Interrupted(
            "Training was interrupted before one configuration was through",
            received=say("what was trained is kept in {out}", out=out),
            fix=go_on,
        ) from None
    except UsageError:
        checkpoint.remove()
        raise
    except Exception as error:
        if _no_space(error):
            raise Interrupted(
                "Writing needs space on the disk and permission",
                received=say("{error}; what was trained is kept in {out}", error=error, out=out),
                fix=say("make room, then {go_on}", go_on=go_on),
            ) from error
        if _no_memory(error):
            raise Interrupted(
                "Training needs more memory than there is",
                received=say(
                    "{value}; what was trained is kept in {out}",
                    value=str(error)[:120] or say("no memory left"),
                    out=out,
                ),
                fix=say(
                    "end other programs or use a larger machine, then {go_on}; or use fewer rows or columns",
                    go_on=go_on,
                ),
            ) from error
        raise


def _no_space(error: BaseException) -> bool:
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
    if isinstance(error, OSError) and error.errno in full:
        return True
    return "No space left" in str(error) or "File too large" in str(error)


def _no_memory(error: BaseException) -> bool:
    """Tell the many ways in which libraries say that memory is short."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return any(
        words in said for words in ("can't allocate memory", "cannot allocate memory", "out of memory")
    )
