"""Files: a route that takes a file and answers with a CSV file, one prediction a row. Knows no pages."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from soundfit.artifact import AnyPredictor
from soundfit.errors import SoundfitError
from soundfit.serve.body import Refusal, in_time, read_body

__all__ = ["MOST_FILE_BYTES", "MOST_ROWS", "add_file_route", "predicted_file"]

MOST_FILE_BYTES, MOST_ROWS = 20_000_000, 100_000


def add_file_route(
    app: FastAPI,
    path: str,
    *,
    summary: str,
    media: Sequence[str],
    work: Callable[[bytes], str],
    pool: Executor,
) -> None:
    """Add ``POST path``: the body is the file, the answer a CSV file.

    Args:
        app: the application.
        path: of the route.
        summary: what it does.
        media: types that the body may have.
        work: the file's bytes to the text of the answer.
        pool: where the work is done.
    """
    told: dict[str, Any] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media}

    @app.post(
        path,
        summary=summary,
        tags=["predictions"],
        openapi_extra={"requestBody": {"required": True, "content": told}},
        responses={
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
            413: {"description": f"more than {MOST_FILE_BYTES:,} bytes or {MOST_ROWS:,} rows"},
            422: {"description": "a sentence that says what is wrong with the file"},
        },
    )
    async def predict_file(request: Request) -> Response:
        content = await read_body(request, MOST_FILE_BYTES)
        text = await in_time(asyncio.get_running_loop().run_in_executor(pool, work, content))
        name = {"Content-Disposition": 'attachment; filename="predictions.csv"'}
        return Response(text, media_type="text/csv", headers=name)


def predicted_file(predictor: AnyPredictor, content: bytes, ending: str) -> str:
    """Return the predictions of a file as CSV.

    Raises:
        Refusal: 422 with what is wrong with the file; 413 where it is too large.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{ending}"
        path.write_bytes(content)
        try:
            read = predictor.read(path)
            n_rows = len(read) if hasattr(read, "__len__") else len(read.steps)
            if n_rows > MOST_ROWS:
                raise Refusal(413, f"A file has at most {MOST_ROWS:,} rows, however: {n_rows:,}.")
            predicted = predictor.predict(read)
        except SoundfitError as error:
            raise Refusal(422, error.paragraph().replace(f"{path}", "the file")) from None
        except MemoryError:
            raise Refusal(413, "The file needs more memory than there is; send less at once.") from None
    out = io.StringIO()
    predicted.to_csv(out, index=False)
    return out.getvalue()
