"""Prepare: from a file or frame to a table, a plan and the audit's findings. Opens no seal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from soundfit.data.audit import audit
from soundfit.data.options import number_or_word
from soundfit.data.source import read, read_frame
from soundfit.data.split import split
from soundfit.data.table import Table
from soundfit.errors import StopError, UsageError, did_you_mean
from soundfit.records import Finding, Plan
from soundfit.records.finding import CODES
from soundfit.records.said import say
from soundfit.workflow.options import Options

__all__ = ["Prepared", "prepare", "read_table", "stop_on_errors"]


@dataclass(frozen=True)
class Prepared:
    """A table with its plan and findings."""

    table: Table
    plan: Plan
    findings: tuple[Finding, ...]
    test_file: Path | None = None


def prepare(source: str | Path | pd.DataFrame, options: Options) -> Prepared:
    """Read, split and audit.

    Raises:
        UsageError: an option or the data cannot be used as given.
    """
    unknown = [code for code in options.accept if code not in CODES]
    if unknown:
        raise UsageError(
            "--accept names the code of a finding",
            received=repr(unknown[0]),
            fix=did_you_mean(unknown[0], CODES),
        )
    share, test_file = _test(options.test)
    table, test_rows = read_table(source, options, test_file)
    plan = split(
        table,
        folds=number_or_word(options.folds),
        test=share,
        group=options.group,
        time=options.time,
        stratify=options.stratify,
        fold_column=options.fold_column,
        test_rows=test_rows,
        gap=number_or_word(options.gap),
        seed=options.seed,
    )
    findings = audit(table, plan=plan, group=options.group, time=options.time, seed=options.seed)
    return Prepared(table, plan, findings, test_file)


def stop_on_errors(findings: tuple[Finding, ...], accept: tuple[str, ...]) -> None:
    """Stop where a finding says that the score would be a lie, unless it was accepted.

    Raises:
        StopError: naming each such finding and what to do.
    """
    errors = [f for f in findings if f.severity == "error" and f.code not in accept]
    if not errors:
        return
    codes = sorted({f.code for f in errors})
    stop = StopError(
        "Training stops where the audit shows that the score would be a lie",
        received="; ".join(f"[{f.code}] {f.message.rstrip('.')} — {f.fix.rstrip('.')}" for f in errors),
        fix=say(
            "do what each line says, or train all the same with {options}",
            options=" ".join(f"--accept {c}" for c in codes),
        ),
    )
    stop.findings = findings
    raise stop


def _test(text: str) -> tuple[float, Path | None]:
    """Tell a fraction from a test file."""
    try:
        return float(text), None
    except ValueError:
        return 0.2, Path(text)


def read_table(
    source: str | Path | pd.DataFrame, options: Options, test_file: Path | None
) -> tuple[Table, Any]:
    """Read a table, together with its test file where there is one; return it and the test positions.

    Raises:
        UsageError: the files, the target or an option cannot be used as given.
    """
    # Of a folder the reader says what is wrong with it, with or without a target.
    if not options.target and not (isinstance(source, str | Path) and Path(source).is_dir()):
        raise UsageError(
            "A table needs --target, the column to predict",
            received="none",
            fix="name it: --target COLUMN (only a folder of pictures needs none)",
        )
    # A fold number or a single entity key is no measurement; several group columns together (a mix, a
    # place and a day) are measurements that models may read.
    key = options.group if len(options.group) == 1 else ()
    drop = tuple(
        dict.fromkeys((*options.drop, *key, *([options.fold_column] if options.fold_column else [])))
    )
    if test_file is None:
        return read(source, target=options.target, task=options.task, drop=drop), None
    if not test_file.exists():
        raise UsageError(
            "--test is a fraction such as 0.2, or a file with the test rows",
            received=repr(str(test_file)),
            fix="write a number between 0 and 0.9, or the path of an existing file",
        )
    training, test = read_frame(source), read_frame(test_file)
    missing = [c for c in training.columns if c not in test.columns]
    if missing:
        raise UsageError(
            "A test file has the columns of the training file",
            received=say(
                "{test_file} without {list}", test_file=test_file, list=", ".join(map(repr, missing[:5]))
            ),
            fix=did_you_mean(str(missing[0]), [str(c) for c in test.columns]),
        )
    both = pd.concat([training, test[training.columns]], ignore_index=True)
    table = read(both, target=options.target, task=options.task, drop=drop)
    table = replace(table, source=str(source) if not isinstance(source, pd.DataFrame) else table.source)
    return table, np.flatnonzero(table.file_rows >= len(training))
