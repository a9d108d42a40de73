"""Source: a file or a DataFrame into a Table. Knows formats, no splits and no models."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from soundfit.data.columns import as_kinds, infer_columns
from soundfit.data.delimited import parse_delimited
from soundfit.data.table import Column, Table
from soundfit.data.task import TargetValues, read_target
from soundfit.errors import DataError, UsageError, did_you_mean
from soundfit.records import Finding
from soundfit.records.said import say

__all__ = ["MIN_ROWS", "read", "read_frame"]

#: Fewer rows than this leave nothing to hold out.
MIN_ROWS = 10

_TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".data")
_PARQUET_ENDINGS = (".parquet", ".pq")
_FEATHER_ENDINGS = (".feather", ".arrow", ".ipc")
_ENDINGS = "CSV, TSV or TXT (also with .gz), Parquet, Feather"


def read(
    source: str | os.PathLike[str] | pd.DataFrame,
    *,
    target: str,
    task: str = "auto",
    drop: Collection[str] = (),
    keep: Collection[str] = (),
) -> Table:
    """Read a table for training.

    Rows whose target is missing are left out with a finding; no other row is. An infinite target is
    refused: dropping rows by their target would bias every score.

    Args:
        source: path of a delimited text file (delimiter, encoding, decimal sign found in it; also
            .gz), Parquet or Feather file; or a DataFrame, whose index is ignored.
        target: name of the column to predict.
        task: ``auto``, ``regression`` or ``classification``; see :func:`soundfit.data.task.read_target`.
        drop: feature columns that models must not read.
        keep: feature columns that models read although they look like identifiers or free text.

    Raises:
        UsageError: a column named in target, drop or keep is not in the table; unknown task.
        DataError: no such file, not a table, or a table that nothing can be learned from.
    """
    loaded = _load(source)
    raw, name = loaded.frame, loaded.source
    target = str(target)
    _check_names(loaded, target, drop, keep)
    _check_rows(raw, name)
    read_values = read_target(raw[target], name=target, task=task)
    known = np.flatnonzero(~read_values.missing)
    if len(known) < MIN_ROWS:
        raise _too_few(len(known), f"with a value of {target!r} in {name}, which has {_rows(len(raw))}")
    features = raw.drop(columns=[target]).iloc[known].reset_index(drop=True)
    file_rows = known.astype(np.int64)
    columns, findings = infer_columns(features, drop=drop, keep=keep, file_rows=file_rows)
    if not any(column.used for column in columns):
        raise _no_features(columns, name, target)
    return Table(
        frame=as_kinds(features, columns),
        target=read_values.values[known],
        target_name=target,
        task=read_values.task,
        classes=read_values.classes,
        columns=columns,
        file_rows=file_rows,
        n_file_rows=len(raw),
        source=name,
        sha256=loaded.sha256,
        findings=(*_missing_target(read_values, target), *findings),
    )


def read_frame(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read rows without a target, for prediction: names as text and unique, index 0 … N-1.

    Raises:
        DataError: no such file, or not a table.
    """
    return _load(source).frame


@dataclass(frozen=True)
class _Loaded:
    """What a source held: its frame, what errors call it, and the names that it repeats."""

    frame: pd.DataFrame
    source: str
    sha256: str
    repeated: frozenset[str]


def _load(source: str | os.PathLike[str] | pd.DataFrame) -> _Loaded:
    if isinstance(source, pd.DataFrame):
        frame, repeated = _plain(source)
        return _Loaded(frame, "<DataFrame>", _frame_sha256(frame), repeated)
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            "A table is a file or a pandas DataFrame",
            received=say("an object of type {name}", name=type(source).__name__),
            fix="pass a path, or pandas.DataFrame(…) of the data",
        )
    path = Path(source)
    content = _content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    frame, repeated = _plain(_parse(path, content))
    return _Loaded(frame, str(source), sha256, repeated)


def _content(path: Path) -> bytes:
    if path.is_dir():
        endings = (*_TEXT_ENDINGS, *_PARQUET_ENDINGS)
        tables = sorted(p.name for p in path.iterdir() if p.suffix.lower() in endings)
        inside = say("; it holds {list}", list=", ".join(tables[:5])) if tables else ""
        raise DataError(
            "The data must be one file",
            received=say("{path}, a folder{inside}", path=path, inside=inside),
            fix="name a file in it",
        )
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            "The data file must exist",
            received=say("{path}, which does not", path=path),
            fix=_near_file(path),
        ) from None
    except OSError as error:
        raise DataError(
            "The data file must be readable",
            received=f"{path}: {error.strerror or error}",
            fix="check the path and its permissions",
        ) from None


def _near_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"check the folder, {folder} does not exist either"
    names = {p.name.casefold(): p.name for p in folder.iterdir() if p.is_file()}
    near = difflib.get_close_matches(path.name.casefold(), names, n=1, cutoff=0.6)
    if not near:
        near = [n for n in names if Path(n).stem == path.stem.casefold()][:1]
    return f"did you mean {str(folder / names[near[0]])!r}?" if near else "check the path for a typing error"


def _parse(path: Path, content: bytes) -> pd.DataFrame:
    endings = [ending.lower() for ending in path.suffixes]
    ending = endings[-1] if endings else ""
    if ending == ".gz" or content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise DataError(
                "A .gz file must be a whole gzip file",
                received=say("{path}, which is damaged or cut short", path=path),
                fix="fetch or pack the file again",
            ) from None
        if ending == ".gz":
            ending = endings[-2] if len(endings) > 1 else ".csv"
    if not content:
        return parse_delimited(content, source=str(path))
    if ending in _PARQUET_ENDINGS or ending in _FEATHER_ENDINGS:
        return _parse_arrow(path, content, parquet=ending in _PARQUET_ENDINGS)
    if ending in _TEXT_ENDINGS or ending == "":
        return parse_delimited(content, source=str(path))
    sheet = ending in (".xlsx", ".xls", ".ods")
    raise DataError(
        say("The data must be {ENDINGS}", ENDINGS=_ENDINGS),
        received=say("{path}, whose ending is {ending!r}", path=path, ending=ending),
        fix="save the sheet as CSV" if sheet else "convert the file, or give it the ending of its format",
    )


def _parse_arrow(path: Path, content: bytes, *, parquet: bool) -> pd.DataFrame:
    what = "Parquet" if parquet else "Feather"
    try:
        reader = pa.parquet.read_table if parquet else pa.feather.read_table
        table = reader(pa.BufferReader(content))
        names = list(table.column_names)
        table = table.rename_columns([f"c{i}" for i in range(len(names))]).replace_schema_metadata(None)
        frame = table.to_pandas(date_as_object=False)
    except (pa.ArrowException, ValueError, OSError):
        raise DataError(
            say("A file with this ending must be {what}", what=what),
            received=say("{path}, which cannot be read as {what}", path=path, what=what),
            fix="write the file again, or give it the ending of its format",
        ) from None
    frame.columns = pd.Index(names)
    return frame


def _plain(frame: pd.DataFrame) -> tuple[pd.DataFrame, frozenset[str]]:
    """Return (the frame with unique text names and index 0 … N-1, names that were repeated)."""
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            "A table has one name for each column",
            received=say("a DataFrame with {nlevels} levels of column names", nlevels=frame.columns.nlevels),
            fix="flatten them: frame.columns = ['_'.join(map(str, c)) for c in frame.columns]",
        )
    plain = frame.reset_index(drop=True)
    names = [str(name).strip() for name in frame.columns]
    plain.columns = pd.Index(unique_names(names), dtype=object)
    return plain, frozenset(name for name, n in Counter(names).items() if n > 1)


def unique_names(names: list[str]) -> list[str]:
    """Return names stripped, named where empty and numbered where repeated, as pandas does.

    >>> unique_names(["a", "", "a"])
    ['a', 'Unnamed: 1', 'a.1']
    """
    stripped = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(names)]
    taken = set(stripped)
    seen: dict[str, int] = {}
    result = []
    for name in stripped:
        if name in seen:
            while f"{name}.{seen[name]}" in taken:
                seen[name] += 1
            fresh = f"{name}.{seen[name]}"
            taken.add(fresh)
            result.append(fresh)
        else:
            seen[name] = 1
            result.append(name)
    return result


def _frame_sha256(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for name in frame.columns:
        series = frame[name]
        digest.update(f"{name}\x00{series.dtype}\x00".encode())
        try:
            hashed = pd.util.hash_pandas_object(series, index=False)
        except (TypeError, ValueError):  # cells that are no values, or text that is no Unicode
            hashed = pd.util.hash_pandas_object(series.map(repr), index=False)
        digest.update(hashed.to_numpy().tobytes())
    return digest.hexdigest()


def _check_names(loaded: _Loaded, target: str, drop: Collection[str], keep: Collection[str]) -> None:
    names, source = list(loaded.frame.columns), loaded.source
    if not names:
        raise DataError(
            "A table needs columns",
            received=say("{source}, which has none", source=source),
            fix="check its making",
        )
    if target not in names:
        numeric = sum(_looks_like_number(name) for name in names)
        headless = len(names) > 1 and numeric >= 0.5 * len(names)
        raise UsageError(
            "The target must be a column of the table",
            received=say("{target!r}, which is not in {source}", target=target, source=source)
            + (
                say(", whose first line looks like data, not names: {list}", list=", ".join(names[:5]))
                if headless
                else ""
            ),
            fix="write the column names into the first line" if headless else did_you_mean(target, names),
        )
    if target in loaded.repeated:
        raise DataError(
            "The target must be one column",
            received=say("several columns named {target!r} in {source}", target=target, source=source),
            fix="give each a name of its own",
        )
    for option, given in (("--drop", drop), ("--keep", keep)):
        for name in given:
            if name not in names:
                raise UsageError(
                    say("{option} names a column of the table", option=option),
                    received=say("{name!r}, which is not in {source}", name=name, source=source),
                    fix=did_you_mean(str(name), names),
                )
    if target in drop:
        raise UsageError(
            "The target is not a feature to drop",
            received=say("{target!r} as target and in --drop", target=target),
            fix="leave it out of --drop",
        )


def _looks_like_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return name.startswith("Unnamed: ")
    return True


def _check_rows(frame: pd.DataFrame, source: str) -> None:
    n_rows = len(frame)
    if n_rows == 0:
        raise DataError(
            "A table needs rows below its header",
            received=say("{source}, which has none", source=source),
            fix="add the rows",
        )
    if frame.shape[1] < 2:
        raise DataError(
            "A table needs a target and at least one feature",
            received=say(
                "{source}, which has one column, {columns!r}", source=source, columns=frame.columns[0]
            ),
            fix="check the delimiter: comma, semicolon, tab and | are recognised",
        )
    if n_rows < MIN_ROWS:
        raise _too_few(n_rows, f"in {source}")
    if all(_same(frame[name]) for name in frame.columns):
        raise DataError(
            "Rows must differ",
            received=say(
                "{source}, whose {n_rows:,} rows are all duplicates of one row", source=source, n_rows=n_rows
            ),
            fix="check how the table was joined or written",
        )


def _same(series: pd.Series) -> bool:
    first = series.iloc[0]
    if series.isna().iloc[0]:
        return bool(series.isna().all())
    if isinstance(first, list | dict | set | np.ndarray):
        return bool(series.map(repr).nunique(dropna=False) == 1)
    return bool((series == first).fillna(False).all())


def _too_few(n_rows: int, where: str) -> DataError:
    return DataError(
        say(
            "Training needs at least {MIN_ROWS} rows, some to learn from and some to be examined on",
            MIN_ROWS=MIN_ROWS,
        ),
        received=f"{_rows(n_rows)} {where}",
        fix="add rows; below a hundred or so, a score says little",
    )


def _no_features(columns: tuple[Column, ...], source: str, target: str) -> DataError:
    reasons = "; ".join(f"{c.name!r}: {c.reason}" for c in columns[:5]) + ("; …" if len(columns) > 5 else "")
    return DataError(
        "At least one feature column must be usable",
        received=say(
            "{source}, where none beside {target!r} is ({reasons})",
            source=source,
            target=target,
            reasons=reasons,
        ),
        fix="add columns that measure something, or keep one of these with --keep",
    )


def _missing_target(values: TargetValues, target: str) -> tuple[Finding, ...]:
    rows = np.flatnonzero(values.missing)
    if rows.size == 0:
        return ()
    return (
        Finding(
            "missing-target",
            "warning",
            say(
                "{rows} of {size:,} without a value of {target!r}; left out.",
                rows=_rows(rows.size),
                size=values.missing.size,
                target=target,
            ),
            columns=(target,),
            rows=tuple(int(row) for row in rows[:20]),
            n_rows=int(rows.size),
            fix=say(
                "Ask why the target is missing there: if not by chance, scores hold for such rows alone as "
                "have one."
            ),
        ),
    )


def _rows(n: int) -> str:
    return say("{n:,} row", n=n) if n == 1 else say("{n:,} rows", n=n)
