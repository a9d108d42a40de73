"""Kind: whether a source holds a table, pictures or sequences, by names, magic bytes and shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from soundfit.data.picture_source import holds_pictures
from soundfit.workflow.options import Options

__all__ = ["data_kind", "material_reader"]

#: Kind → the function ``(source, options, steps, device) -> Material`` that reads it.
READERS = {
    "table": "soundfit.workflow.material:table_material",
    "pictures": "soundfit.workflow.pictures:picture_material",
}


def data_kind(source: Any, options: Options) -> str:
    """Return the kind of data in a source: a key of :data:`READERS`."""
    if isinstance(source, str | Path) and holds_pictures(Path(source), options.target):
        return "pictures"
    return "table"


def material_reader(kind: str) -> Callable[..., Any]:
    """Return the function that reads a kind of data."""
    module, _, name = READERS[kind].partition(":")
    reader: Callable[..., Any] = getattr(import_module(module), name)
    return reader
