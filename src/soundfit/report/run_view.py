"""RunView: a run folder as the report reads it. Older and interrupted runs lack pieces; it never minds.

Knows the names of DESIGN's run folder and nothing of pages or pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from jinja2 import TemplateError

from soundfit.errors import UsageError
from soundfit.records.said import retell, say
from soundfit.report.words import Words

__all__ = ["RunView", "labels", "read_run", "view_of", "whole_records"]

#: What pages meet in a record that somebody changed: other types, missing pieces.
_DAMAGE = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, TemplateError)


@contextmanager
def whole_records(*folders: Path) -> Iterator[None]:
    """Say that a record is damaged where a page cannot be made from it.

    Raises:
        UsageError: naming the records.
    """
    try:
        yield
    except UsageError:
        raise
    except _DAMAGE as error:
        named = ", ".join(str(folder / "run.json") for folder in folders)
        raise UsageError(
            "A page is written from run.json and its tables as soundfit train wrote them",
            received=f"{named}: {type(error).__name__}: {str(error)[:200]}",
            fix="restore the folder from a copy or train again; if nobody changed it, report this bug",
        ) from error


@dataclass(frozen=True)
class RunView:
    """What one run left behind: ``run.json`` and its tables, each empty where it is absent."""

    folder: Path
    record: Mapping[str, Any]
    split: pd.DataFrame
    predictions: pd.DataFrame
    trace: pd.DataFrame
    members: pd.DataFrame
    words: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """What the folder will be called, where it is still written aside."""

    def get(self, *path: str, default: Any = None) -> Any:
        """Return ``record[path[0]][path[1]]…``, or ``default`` where any step is missing or null."""
        value: Any = self.record
        for name in path:
            if not isinstance(value, Mapping) or value.get(name) is None:
                return default
            value = value[name]
        return value

    def items(self, *path: str) -> list[Any]:
        """Return a list; empty where there is none, a lone text as a list of itself."""
        found = self.get(*path, default=[])
        if isinstance(found, str):
            return [found]
        return list(found) if isinstance(found, Sequence) else []

    def points(self, *path: str) -> list[Mapping[str, Any]]:
        """Return a list of records; empty where there is none."""
        return [point for point in self.items(*path) if isinstance(point, Mapping)]

    def lines(self, *path: str) -> list[str]:
        """Return a list of texts; a record stands for its ``text``."""
        found = self.items(*path)
        texts = [str(line.get("text", "") if isinstance(line, Mapping) else line) for line in found]
        return [text for text in texts if text]

    def retold(self, _: Words) -> RunView:
        """Return the view with every sentence of the record in the reader's language."""
        if _.is_source:
            return self

        def told(value: Any) -> Any:
            if isinstance(value, str):
                return retell(value, self.words, _)
            if isinstance(value, Mapping):
                return {name: told(item) for name, item in value.items()}
            return [told(item) for item in value] if isinstance(value, (list, tuple)) else value

        return replace(self, record=told(self.record))

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return self.get("data", "task") == "classification" or bool(self.items("data", "classes"))

    @property
    def is_sealed(self) -> bool:
        """Whether nobody has seen the test rows yet."""
        return not isinstance(self.get("exam"), Mapping)

    def has(self, table: str, *columns: str) -> bool:
        """Return whether a table is there, has rows, and has all of these columns."""
        frame: pd.DataFrame = getattr(self, table)
        return len(frame) > 0 and set(columns) <= set(frame.columns)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of ``run.json``, else of the probability columns."""
        named = [str(name) for name in self.items("data", "classes")]
        prefix = "probability_"
        in_table = [str(c).removeprefix(prefix) for c in self.predictions if str(c).startswith(prefix)]
        return named or in_table


def labels(column: pd.Series) -> pd.Series:
    """Return class labels as text; whole numbers that a missing value made floats lose their ``.0``."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        return column.astype("Int64").astype(str)
    return column.astype(str)


def view_of(record: Mapping[str, Any], folder: Path = Path()) -> RunView:
    """Return a view of a record without tables; of a run folder, with what its sentences were made of."""
    empty = pd.DataFrame()
    words = _words(folder / "words.json") if folder != Path() else {}
    return RunView(folder, record, empty, empty, empty, empty, words=words)


def read_run(folder: Path, *, name: str = "") -> RunView:
    """Return what is in a run folder.

    Args:
        folder: where it is.
        name: what it will be called, where it is still written aside.

    Raises:
        UsageError: it has no readable ``run.json``.
    """
    folder = Path(folder)
    path = folder / "run.json"
    rule = "A run folder has a run.json, written by soundfit train"
    fix = "name the folder that was given to --out"
    if not path.is_file():
        raise UsageError(rule, received=say("{folder}, which has none", folder=folder), fix=fix)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(
            rule, received=say("{path}, which cannot be read ({error})", path=path, error=error), fix=fix
        ) from error
    if not isinstance(record, dict):
        raise UsageError(rule, received=say("{path}, which holds no JSON object", path=path), fix=fix)
    tables = {
        table: _table(folder / f"{table}.parquet") for table in ("split", "predictions", "trace", "members")
    }
    view = RunView(folder, record, **tables, words=_words(folder / "words.json"), name=name)
    return replace(view, predictions=_without_sealed(view))


def _words(path: Path) -> Mapping[str, Any]:
    """Return what the record's sentences were made of; nothing where that was not kept."""
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return words if isinstance(words, dict) else {}


def _table(path: Path) -> pd.DataFrame:
    """Return the table; empty where it is absent, or damaged by an interruption."""
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException):
        return pd.DataFrame()


def _without_sealed(view: RunView) -> pd.DataFrame:
    """Return the predictions without test rows: no page may show those, least of all under seal."""
    if not (view.has("predictions", "row") and view.has("split", "row", "role")):
        return view.predictions
    test = view.split.loc[view.split["role"] == "test", "row"]
    return view.predictions[~view.predictions["row"].isin(test)]
