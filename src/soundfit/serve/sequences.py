"""Sequences: the route of a model on sequences. One file a request, known by its content, within bounds."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI

from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.data.archive import BROKEN_ARCHIVE, array_header
from soundfit.serve.body import Refusal
from soundfit.serve.files import add_file_route, predicted_file

__all__ = ["MOST_UNPACKED_BYTES", "file_ending", "sequence_facts", "sequence_routes"]

MOST_UNPACKED_BYTES, _MOST_ARRAYS = 400_000_000, 100
_MARKS = {b"PK": ".npz", b"PAR1": ".parquet", b"ARROW1": ".feather"}
_MEDIA = ("application/octet-stream", "text/csv")


def sequence_facts(predictor: SequencePredictor) -> dict[str, Any]:
    """Return what ``GET /model`` says."""
    layout = predictor.layout
    told = {"form": layout.form, "channels": list(layout.channels), "steps": predictor.n_steps}
    if layout.form == "long":
        told |= {"sequence": layout.sequence[0], "time": layout.time}
    return told


def sequence_routes(app: FastAPI, predictor: SequencePredictor) -> None:
    """Add ``POST /predict``."""
    # One thread: files in memory never add up, and the event loop goes on reading.
    pool = ThreadPoolExecutor(1, thread_name_prefix="model")
    add_file_route(
        app,
        "/predict",
        summary="Predict sequences: the body is a file as in training (npz, CSV, Parquet or Feather)",
        media=_MEDIA,
        work=lambda content: predicted_file(predictor, content, file_ending(content)),
        pool=pool,
    )


def file_ending(content: bytes) -> str:
    """Return the ending of the kind of file that these bytes are: text, where nothing else is known.

    Raises:
        Refusal: 413 or 422, an npz file that would unpack to more than is allowed, or to more than it holds.
    """
    ending = next((e for mark, e in _MARKS.items() if content.startswith(mark)), ".csv")
    if ending == ".npz":
        _check_archive(content)
    return ending


def _check_archive(content: bytes) -> None:
    """Refuse by sizes alone, before anything is unpacked: small archives can hold gigabytes of zeros."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            held = archive.infolist()
            unpacked = sum(entry.file_size for entry in held)
            if unpacked > MOST_UNPACKED_BYTES or len(held) > _MOST_ARRAYS:
                most = f"{_MOST_ARRAYS} arrays and {MOST_UNPACKED_BYTES:,} bytes unpacked"
                raise Refusal(
                    413, f"An npz file has at most {most}, however: {len(held):,} and {unpacked:,}."
                )
            for entry in held:
                with archive.open(entry) as file:
                    shape, dtype = array_header(file)
                # In Python's own whole numbers, which do not overflow.
                promised = dtype.itemsize
                for n in shape:
                    promised *= n
                if promised > entry.file_size:
                    raise Refusal(
                        422, f"The array {entry.filename[:80]!r} promises more than the file holds."
                    )
    except BROKEN_ARCHIVE as error:
        raise Refusal(422, f"The body is no whole npz file: {str(error)[:200]}.") from None
