"""Kind: whether a source holds a table, pictures or sequences, by names, magic bytes and shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from soundfit.data.picture_source import holds_pictures
from soundfit.data.sequence_source import holds_sequences
from soundfit.workflow.large import is_large
from soundfit.workflow.options import Options

__all__ = ["audited", "data_kind", "material_reader"]

#: Models that read sequences alone.
RECURRENT = ("lstm", "gru", "rnn")
#: Kind → the function ``(source, options, steps, device) -> Material`` that reads it.
READERS = {
    "table": "soundfit.workflow.material:table_material",
    "large": "soundfit.workflow.large:large_material",
    "pictures": "soundfit.workflow.pictures:picture_material",
    "sequences": "soundfit.workflow.sequences:sequence_material",
}


def data_kind(source: Any, options: Options) -> str:
    """Return the kind of data in a source: a key of :data:`READERS`."""
    if options.sequence or options.model in RECURRENT or holds_sequences(source):
        return "sequences"
    if isinstance(source, str | Path) and holds_pictures(Path(source), options.target):
        return "pictures"
    return "large" if is_large(source, options) else "table"


def material_reader(kind: str) -> Callable[..., Any]:
    """Return the function that reads a kind of data."""
    module, _, name = READERS[kind].partition(":")
    reader: Callable[..., Any] = getattr(import_module(module), name)
    return reader


def audited(source: Any, options: Options) -> Any:
    """Return a table with its plan and findings, or other data as material: read and audited, no more."""
    kind = data_kind(source, options)
    if kind == "table":
        # Without torch, whose import takes longer than most audits.
        from soundfit.workflow.prepare import prepare

        return prepare(source, options)
    from soundfit.workflow.material import Steps
    from soundfit.workflow.options import pick_device

    # What is found does not depend on what would be trained.
    plain = replace(options, backbone="none", weights=None)
    return material_reader(kind)(source, plain, Steps(), pick_device(options.device))
